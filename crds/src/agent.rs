//! What an agent's `/status` says about the bundle it runs: the part of the answer that the operator reads.

use std::collections::BTreeMap;

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
