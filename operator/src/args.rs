//! The command line.

use std::net::SocketAddr;

use clap::Parser;

/// Turns FalcoRules into the bundle that the agents run, and tells in their status where they run.
///
/// Credentials are found as kubectl finds them: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount.
#[derive(Debug, Clone, Parser)]
#[command(name = "saker-operator", version)]
pub struct Args {
    /// Namespace for the bundle and of the agents; the namespace of the credentials if not given.
    #[arg(long)]
    pub namespace: Option<String>,

    /// Namespace whose FalcoRules may see the events of the whole fleet, as scope Cluster asks; those of others are
    /// confined to their own pods and audit events. Repeatable; without it every namespace may.
    #[arg(long = "fleet-namespace", value_name = "NAMESPACE")]
    pub fleet_namespaces: Vec<String>,

    /// Base URL of an agent outside the cluster, for example http://127.0.0.1:8765. Repeatable; without it the
    /// agents' pods in the namespace are asked.
    #[arg(long = "agent-url", value_name = "URL")]
    pub agent_urls: Vec<String>,

    /// Address for /healthz and /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where an API server reaches the agent on its own node, for audit events; the address of the Service saker-audit
    /// if not given.
    #[arg(long, value_name = "URL")]
    pub audit_endpoint: Option<String>,

    /// Address for the admission webhook (HTTPS), for example 0.0.0.0:9443. Without it FalcoRules are checked after
    /// they were taken: their status says what is wrong.
    #[arg(long, value_name = "ADDRESS")]
    pub webhook_listen: Option<SocketAddr>,

    /// Host and port under which the API server reaches the webhook, for an operator outside the cluster; the Service
    /// saker-operator if not given.
    #[arg(long, value_name = "HOST:PORT", requires = "webhook_listen")]
    pub webhook_address: Option<SocketAddr>,

    /// Bring the definitions of FalcoRule and its kin up to this version, and end.
    #[arg(long)]
    pub apply_crds: bool,

    /// Delete the AuditSink, wait until the nodes have taken back what they did for it, and end.
    #[arg(long, conflicts_with = "apply_crds")]
    pub undo_audit: bool,
}
