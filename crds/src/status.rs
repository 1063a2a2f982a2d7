//! What the operator says about a FalcoRule.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

/// At most so many failing nodes are named in a status.
pub const MAX_FAILING: usize = 10;

/// The types of [`FalcoRuleStatus::conditions`], in the order in which they come true.
pub mod condition {
    /// The object may be where it is and is taken into account.
    pub const ACCEPTED: &str = "Accepted";
    /// The rules compile together with all others.
    pub const COMPILED: &str = "Compiled";
    /// The bundle in the cluster holds them.
    pub const DISTRIBUTED: &str = "Distributed";
    /// Every node runs them.
    pub const LOADED: &str = "Loaded";
}

/// What became of the rules, written by the operator.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FalcoRuleStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Accepted: the object is taken into account. Compiled: its rules compile together with all others. Distributed:
    /// the bundle in the cluster holds them. Loaded: every node runs them.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// The bundle that holds the rules (SHA-256 of its text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_hash: Option<String>,

    /// Whose events the rules see: the scope that was asked for, or Namespace where the operator confines the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,

    /// Where the events of the rules come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,

    /// The most urgent priority of the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,

    /// Where the rules run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,

    /// How often the rules matched, in Shadow too; brought up to date at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<i64>,

    /// When a rule matched last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub last_match_time: Option<Time>,
}

/// Where rules run.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// `loaded/desired`, for `kubectl get`.
    pub summary: String,

    /// Nodes with an agent, of those that `spec.selector.nodes` selects.
    pub desired: i32,

    /// Nodes that run the rules.
    pub loaded: i32,

    /// Nodes that refused them.
    pub rejected: i32,

    /// Nodes that refused them or did not answer, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingNode>,
}

/// A node that does not run the rules.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FailingNode {
    /// The node, or the address of its agent as long as that does not answer.
    pub node: String,

    /// The reason.
    pub message: String,
}

/// Kubernetes' own time; its crate has a schema only with a feature that costs every build.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "nullable": true})
}

/// Kubernetes' own condition; its crate has a schema only with a feature that costs every build.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string"},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string"},
                "message": {"type": "string"},
                "observedGeneration": {"type": "integer", "format": "int64"},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
            },
        },
    })
}
