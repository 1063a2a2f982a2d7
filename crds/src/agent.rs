//! What an agent's `/status` says about the bundle it runs: the part of the answer that the operator reads.

use serde::Deserialize;

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
    /// The rules in force.
    pub rules: RulesStatus,
}

/// The rules in force.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct RulesStatus {
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
