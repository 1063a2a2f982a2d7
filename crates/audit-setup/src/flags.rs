//! What an API server is told at its start.

use crate::Distribution;

/// Files below [`Distribution::folder`].
pub(crate) const POLICY: &str = "audit-policy.yaml";
pub(crate) const KUBECONFIG: &str = "audit-webhook.kubeconfig";

/// The flag that names the policy, and the one that names the webhook.
pub(crate) const POLICY_FLAG: &str = "audit-policy-file";
pub(crate) const WEBHOOK_FLAG: &str = "audit-webhook-config-file";

/// How the webhook works (Kubernetes documentation, "Auditing"): in the background, because an agent that is down must
/// not stop the cluster, and with events no larger than the agent takes. The backoff stays at its default of 10 s: a
/// batch is tried five times, so an agent may be away for a minute before anything is lost.
pub(crate) const FLAGS: [(&str, &str); 4] = [
    ("audit-webhook-mode", "batch"),
    ("audit-webhook-batch-max-wait", "1s"),
    ("audit-webhook-truncate-enabled", "true"),
    ("audit-webhook-truncate-max-event-size", "262144"),
];

/// Paths of the files that the API server reads at its start.
pub(crate) fn read_at_start(distribution: Distribution) -> [String; 2] {
    [POLICY, KUBECONFIG].map(|name| format!("{}/{name}", distribution.folder()))
}
