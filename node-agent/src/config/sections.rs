//! The mappings inside the configuration, one type each.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use saker_crds::bundle::MANIFEST_NAME;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::legacy::{Ignored, Unavailable};

/// Where syscall events come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// `modern_ebpf`, or `nodriver` for no syscall events at all.
    pub kind: EngineKind,
    /// Settings of the eBPF probe.
    pub modern_ebpf: ModernEbpf,
    /// Ignored: there is no kernel module.
    pub kmod: Ignored,
    /// Ignored: `saker replay` reads captures.
    pub replay: Ignored,
}

/// The kinds of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// The eBPF probe.
    #[default]
    ModernEbpf,
    /// No syscall events.
    Nodriver,
}

/// Settings of the eBPF probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModernEbpf {
    /// Size of the ring for opens and connects, shared by all CPUs: 1 is 1 MiB, and each step doubles it, up to 10 for 512 MiB.
    #[schemars(range(min = 1, max = 10))]
    pub buf_size_preset: u8,
    /// Not available yet: leaving out the events of calls that failed.
    pub drop_failed_exit: Unavailable,
    /// Ignored: all CPUs share one ring.
    pub cpus_for_each_buffer: Ignored,
    /// Ignored: the processes there before the start are always read through iterators.
    pub disable_iterators: Ignored,
}

impl Default for ModernEbpf {
    fn default() -> Self {
        Self {
            buf_size_preset: 4,
            drop_failed_exit: Unavailable,
            cpus_for_each_buffer: Ignored,
            disable_iterators: Ignored,
        }
    }
}

/// The HTTP server for audit events, health, versions, metrics and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webserver {
    /// Whether to listen; without it no audit events are posted.
    pub enabled: bool,
    /// TCP port.
    pub listen_port: u16,
    /// Address to listen on; `0.0.0.0` for every interface.
    pub listen_address: IpAddr,
    /// Path of the health check.
    pub k8s_healthz_endpoint: String,
    /// Path that takes the API server's audit events; empty means that none are posted.
    pub k8s_audit_endpoint: String,
    /// Serve `/metrics`, if `metrics.enabled` too.
    pub prometheus_metrics_enabled: bool,
    /// Serve HTTPS instead of HTTP.
    pub ssl_enabled: bool,
    /// PEM file of the certificate, with those between it and its CA; read again when it changes.
    pub ssl_certificate: PathBuf,
    /// PEM file of the private key; empty means that `ssl_certificate` holds it, as with Falco.
    pub ssl_private_key: PathBuf,
    /// Ignored: the server needs one thread.
    pub threadiness: Ignored,
}

impl Default for Webserver {
    fn default() -> Self {
        Self {
            enabled: true,
            listen_port: 8765,
            listen_address: [127, 0, 0, 1].into(),
            k8s_healthz_endpoint: "/healthz".to_owned(),
            k8s_audit_endpoint: "/k8s-audit".to_owned(),
            prometheus_metrics_enabled: true,
            ssl_enabled: false,
            ssl_certificate: PathBuf::from("/etc/saker/saker.pem"),
            ssl_private_key: PathBuf::new(),
            threadiness: Ignored,
        }
    }
}

/// Audit events of the Kubernetes API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct K8sAudit {
    /// PEM file of the CA that signs the API server's client certificate, needs `webserver.ssl_enabled`. Whoever
    /// shows no certificate of it, and no token, may not post.
    pub client_ca: PathBuf,
    /// File with a bearer token. Whoever does not show it, and no client certificate, may not post.
    pub token_file: PathBuf,
    /// Let anybody post who can reach a `webserver.listen_address` other than loopback.
    pub allow_anonymous: bool,
    /// Audit log file of the API server to follow, beside what is posted; empty for none.
    pub log_file: PathBuf,
    /// Where to begin in a log file that was never read before.
    pub log_start: LogStart,
    /// Folder with what the cluster's AuditSink says to this node and the certificates of its webhook, as the chart mounts
    /// it; empty for none.
    pub sink_folder: PathBuf,
    /// Address for that webhook: HTTPS, and only for whoever shows a certificate of the authority in the folder.
    pub sink_listen: SocketAddr,
    /// Seconds without an audit event until there is an alert of source `internal`; 0 for never.
    pub silent_after: u32,
}

impl Default for K8sAudit {
    fn default() -> Self {
        Self {
            client_ca: PathBuf::new(),
            token_file: PathBuf::new(),
            allow_anonymous: false,
            log_file: PathBuf::new(),
            log_start: LogStart::End,
            sink_folder: PathBuf::new(),
            sink_listen: SocketAddr::from(([0, 0, 0, 0], 8766)),
            silent_after: 0,
        }
    }
}

/// Where to begin in a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStart {
    /// With what is written from now on.
    #[default]
    End,
    /// With all that it holds.
    Beginning,
}

/// What to do when the kernel made more events than were read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyscallEventDrops {
    /// Part of the events (0 to 1) that must be lost before anything is done.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// What is done; what is lost meanwhile is added up and told the next time.
    pub actions: Vec<DropAction>,
    /// How often per second it may be done.
    pub rate: f64,
    /// How often at once it may be done after a quiet time.
    pub max_burst: u32,
    /// Ignored: for Falco's own tests.
    pub simulate_drops: Ignored,
}

impl Default for SyscallEventDrops {
    fn default() -> Self {
        let actions = vec![DropAction::Log, DropAction::Alert];
        Self { threshold: 0.0, actions, rate: 1.0, max_burst: 1, simulate_drops: Ignored }
    }
}

/// What can be done about lost events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DropAction {
    /// Nothing; the counters tell.
    Ignore,
    /// A line in the log.
    Log,
    /// An alert of source `internal`.
    Alert,
    /// The end of the agent.
    Exit,
}

/// The queue before each output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputsQueue {
    /// Alerts that may wait for one output; more are dropped and counted. 0 means 10000.
    #[schemars(range(max = 1_000_000))]
    pub capacity: usize,
}

/// The counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether to serve them.
    pub enabled: bool,
    /// Ignored: metrics are served, not logged.
    pub interval: Ignored,
    /// Ignored: metrics are served, not logged.
    pub output_rule: Ignored,
    /// Ignored: metrics are served, not logged.
    pub output_file: Ignored,
    /// Ignored: every counter is served.
    pub rules_counters_enabled: Ignored,
    /// Ignored: every counter is served.
    pub resource_utilization_enabled: Ignored,
    /// Ignored: every counter is served.
    pub state_counters_enabled: Ignored,
    /// Ignored: every counter is served.
    pub kernel_event_counters_enabled: Ignored,
    /// Ignored: counters are summed over the CPUs.
    pub kernel_event_counters_per_cpu_enabled: Ignored,
    /// Ignored: every counter is served.
    pub kernel_iter_event_counters_enabled: Ignored,
    /// Ignored: Saker does not use libbpf.
    pub libbpf_stats_enabled: Ignored,
    /// Ignored: the plugins are built in.
    pub plugins_metrics_enabled: Ignored,
    /// Ignored: Saker does not use jemalloc.
    pub jemalloc_stats_enabled: Ignored,
    /// Ignored: sizes are bytes.
    pub convert_memory_to_mb: Ignored,
    /// Ignored: counters start from zero.
    pub include_empty_values: Ignored,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Ignored,
            output_rule: Ignored,
            output_file: Ignored,
            rules_counters_enabled: Ignored,
            resource_utilization_enabled: Ignored,
            state_counters_enabled: Ignored,
            kernel_event_counters_enabled: Ignored,
            kernel_event_counters_per_cpu_enabled: Ignored,
            kernel_iter_event_counters_enabled: Ignored,
            libbpf_stats_enabled: Ignored,
            plugins_metrics_enabled: Ignored,
            jemalloc_stats_enabled: Ignored,
            convert_memory_to_mb: Ignored,
            include_empty_values: Ignored,
        }
    }
}

/// The bundle of rules that the operator keeps in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kubernetes {
    /// Whether to fetch and watch it.
    pub enabled: bool,
    /// Credentials; empty means those of the pod.
    pub kubeconfig: PathBuf,
    /// Namespace of the bundle.
    pub namespace: String,
    /// Name of the ConfigMap that lists its parts.
    pub manifest: String,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: PathBuf::new(),
            namespace: "saker-system".to_owned(),
            manifest: MANIFEST_NAME.to_owned(),
        }
    }
}

/// Which rules make an alert of an event that several match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleMatching {
    /// The first in the order of definition.
    #[default]
    First,
    /// Every one.
    All,
}

/// The least urgent lines of the agent's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are syslog's")]
pub enum LogLevel {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    #[default]
    Info,
    Debug,
    Trace,
}
