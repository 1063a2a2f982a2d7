//! The operator's own metrics.

use prometheus::{
    Encoder as _, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// What is counted.
pub struct Metrics {
    registry: Registry,
    /// Reconciles that went through.
    pub reconciles: IntCounter,
    /// Reconciles that failed, by step.
    pub errors: IntCounterVec,
    /// Statuses written.
    pub status_writes: IntCounter,
    /// FalcoRules by outcome.
    pub falco_rules: IntGaugeVec,
    /// Nodes with an agent.
    pub nodes: IntGauge,
    /// Nodes that run the bundle.
    pub nodes_current: IntGauge,
    /// End of the webhook's certificate, in seconds since the epoch.
    pub certificate_expiry: IntGauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            reconciles: IntCounter::new("saker_operator_reconciles_total", "Reconciles that went through")?,
            errors: by("saker_operator_reconcile_errors_total", "Reconciles that failed, by step", "step")?,
            status_writes: IntCounter::new(
                "saker_operator_status_writes_total",
                "FalcoRule statuses written",
            )?,
            falco_rules: IntGaugeVec::new(
                Opts::new("saker_operator_falcorules", "FalcoRules by outcome"),
                &["outcome"],
            )?,
            nodes: IntGauge::new("saker_operator_nodes", "Nodes with an agent")?,
            nodes_current: IntGauge::new(
                "saker_operator_nodes_current",
                "Nodes that run the current bundle",
            )?,
            certificate_expiry: IntGauge::new(
                "saker_operator_certificate_expiry_timestamp_seconds",
                "End of the admission webhook's certificate, since the epoch",
            )?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.reconciles.clone()))?;
        self.registry.register(Box::new(self.errors.clone()))?;
        self.registry.register(Box::new(self.status_writes.clone()))?;
        self.registry.register(Box::new(self.falco_rules.clone()))?;
        self.registry.register(Box::new(self.nodes.clone()))?;
        self.registry.register(Box::new(self.nodes_current.clone()))?;
        self.registry.register(Box::new(self.certificate_expiry.clone()))
    }

    /// In Prometheus' text form.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn by(name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), &[label])
}
