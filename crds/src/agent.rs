//! What an agent's `/status` says about the bundle it runs: the part of the answer that the operator reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Path of the endpoint.
pub const STATUS_PATH: &str = "/status";
/// Label of the agents' pods.
pub const AGENT_SELECTOR: &str = "app.kubernetes.io/name=saker,app.kubernetes.io/component=agent";

/// An agent's answer.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct AgentStatus {
    /// The node it runs on.
    pub hostname: String,
    /// Hash of the bundle whose rules run; none as long as there was no bundle.
    pub bundle: Option<String>,
    /// Its version.
    pub version: String,
    /// When it started, seconds since the Unix epoch: what it counts, it counts from then on.
    pub started: u64,
    /// The rules in force.
    pub rules: RulesStatus,
    /// Its sources of events, by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// Matches by the file of the rule.
    pub hits: BTreeMap<String, Hits>,
    /// The audit source.
    pub k8s_audit: AuditStatus,
}

/// A source of events.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct SourceStatus {
    /// `off`, `running` or `failed`.
    pub state: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// Events lost.
    pub lost: u64,
}

/// Matches of the rules of a file.
#[derive(Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Hits {
    /// How many.
    pub matches: u64,
    /// Time of the last event that matched, nanoseconds since the Unix epoch.
    pub last: u64,
}

/// The audit source.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct AuditStatus {
    /// Time of the latest event, nanoseconds since the Unix epoch.
    pub last_event: Option<u64>,
    /// The API server on the agent's node, if there is one.
    pub api_server: Option<ApiServer>,
}

/// An API server, as the agent beside it finds it.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct ApiServer {
    /// What runs there: kubeadm, k3s.
    pub distribution: String,
    /// Where its events go, now or from its next start on.
    pub webhook: Webhook,
    /// Whether it must be started again to do so.
    pub restart_required: bool,
    /// The audit policy in force, as YAML.
    pub policy: Option<String>,
    /// Its log file.
    pub log: Option<String>,
    /// What became of the last order of an AuditSink there.
    pub answer: Option<Answer>,
}

/// Where the events of an API server go.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Webhook {
    /// Nowhere.
    #[default]
    None,
    /// To Saker.
    Saker,
    /// Where this kubeconfig says.
    Other(String),
}

/// What became of an order.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Answer {
    /// The order.
    pub revision: String,
    /// Applied, RolledBack or Failed.
    pub outcome: String,
    /// The error.
    pub message: String,
}

/// The rules in force.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct RulesStatus {
    /// How many are evaluated.
    pub loaded: u64,
    /// How many this agent refused.
    pub rejected: u64,
    /// How many are evaluated and cannot match there.
    pub blind: u64,
    /// Rules that this agent refused.
    pub reasons: Vec<RejectedRule>,
    /// Why the last change was not taken over.
    pub last_error: Option<String>,
}

/// A rule that an agent refused.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct RejectedRule {
    /// The file, and what is wrong in it.
    pub reason: String,
}

impl RejectedRule {
    /// Whether it stands in this file of the bundle.
    pub fn is_in(&self, file: &str) -> bool {
        self.reason.strip_prefix(file).is_some_and(|rest| rest.starts_with([' ', ':']))
    }
}
