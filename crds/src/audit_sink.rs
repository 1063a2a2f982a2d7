//! The AuditSink resource: how the API servers of the cluster come to send their audit events to Saker. The comments on
//! the fields are what `kubectl explain auditsink` shows.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type; they are not the same attribute"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How audit events get from the API servers to the agents. There is one, named `cluster`.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "saker.dev",
    version = "v1alpha1",
    kind = "AuditSink",
    shortname = "as",
    category = "saker",
    status = "AuditSinkStatus",
    doc = "How the API servers of this cluster come to send their audit events to Saker. There is one, named cluster.",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == 'cluster'").message("an API server has room for one webhook: name it cluster"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Distribution",
        type_ = "string",
        json_path = ".status.distribution",
        description = "What the control plane is"
    ),
    printcolumn(
        name = "Configured",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Configured\")].status"
    ),
    printcolumn(
        name = "Receiving",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Receiving\")].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Configured\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkSpec {
    /// Off: nothing is done or said. Snippet: `status.snippet` is the exact text for the distribution that is found, to be
    /// carried out by a person. Tail: the agents follow the log file that the API server writes. Patch: the API servers
    /// are changed, one node after the other, each awaited and rolled back if it does not become ready; kubeadm, kind and
    /// k3s, and only where the chart was installed with `auditSink.patch=true`. In every other mode, and when the object
    /// is deleted, such changes are taken back.
    #[serde(default)]
    pub mode: Mode,

    /// Patch: whether k3s may be started again; its API server reads its settings at no other time. Manual leaves that to
    /// a person, whom the condition RestartRequired tells. A static pod is started again by kubelet in any case.
    #[serde(default)]
    pub restart: Restart,

    /// Tail: the log file as the node sees it, where it is not the one of `--audit-log-path`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096), regex(pattern = "^(/.*)?$"))]
    pub log_file: String,

    /// Patch: with another number the policy is derived anew from the rules, and it and the certificates are written
    /// again, which starts every API server again. Nothing else does that: not a new rule, not a certificate.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub revision: i64,
}

/// What is done.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field explains them")]
pub enum Mode {
    Off,
    #[default]
    Snippet,
    Tail,
    Patch,
}

/// Who starts k3s again.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field explains them")]
pub enum Restart {
    #[default]
    Manual,
    Automatic,
}

/// The types of [`AuditSinkStatus::conditions`].
pub mod condition {
    /// Every API server found is set up as the mode wants it.
    pub const CONFIGURED: &str = "Configured";
    /// Events came from every one of them within the last minutes.
    pub const RECEIVING: &str = "Receiving";
    /// An API server must be started again by a person.
    pub const RESTART_REQUIRED: &str = "RestartRequired";
    /// The policy in force leaves rules blind.
    pub const POLICY_TOO_NARROW: &str = "PolicyTooNarrow";
    /// An API server has a webhook of somebody else.
    pub const CONFLICTING_WEBHOOK: &str = "ConflictingWebhook";
    /// The mode is not possible here.
    pub const UNSUPPORTED: &str = "Unsupported";
}

/// What the operator found and did.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Configured: every API server found is set up as the mode wants it. Receiving: events came from each within the
    /// last five minutes. RestartRequired: one must be started again by a person. PolicyTooNarrow: the policy in force
    /// leaves rules blind. ConflictingWebhook: one has a webhook of somebody else. Unsupported: the mode is not possible
    /// here. The messages say what to do.
    #[serde(default)]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,

    /// What the control plane is, by the first node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub distribution: String,

    /// Nodes with an API server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<ControlPlaneNode>,

    /// Snippet: what to do on each of these nodes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub snippet: String,
}

/// A node with an API server.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneNode {
    /// Its name.
    pub name: String,

    /// What runs there.
    pub distribution: String,

    /// Configured, Pending, RestartRequired, RolledBack, Failed or Conflicting.
    pub state: String,

    /// Why it is not configured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
