//! The operator's own metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
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
    /// Conditions of the AuditSink: whether each holds.
    pub audit_sink: IntGaugeVec,
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
            audit_sink: IntGaugeVec::new(
                Opts::new(
                    "saker_operator_audit_sink_condition",
                    "Whether a condition of the AuditSink holds",
                ),
                &["type"],
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
        self.registry.register(Box::new(self.audit_sink.clone()))?;
        self.registry.register(Box::new(self.certificate_expiry.clone()))
    }

    /// Tells the conditions of the AuditSink; none if it is gone.
    pub fn tell_audit_sink(&self, conditions: &[Condition]) {
        if conditions.is_empty() {
            self.audit_sink.reset();
        }
        for condition in conditions {
            let holds = condition.status == "True";
            self.audit_sink.with_label_values(&[&condition.type_]).set(holds.into());
        }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(type_: &str, status: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: "Reason".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn conditions_of_the_audit_sink_are_told_until_it_is_gone() {
        let metrics = Metrics::new().unwrap();
        let text = || String::from_utf8(metrics.text().unwrap()).unwrap();
        metrics.tell_audit_sink(&[condition("Configured", "True"), condition("Receiving", "False")]);
        for line in [r#"{type="Configured"} 1"#, r#"{type="Receiving"} 0"#] {
            assert!(text().contains(&format!("saker_operator_audit_sink_condition{line}\n")), "{}", text());
        }
        metrics.tell_audit_sink(&[]);
        assert!(!text().contains("audit_sink"), "{}", text());
    }
}
