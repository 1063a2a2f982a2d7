//! What the operator says about a FalcoRule.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// At most so many failing nodes are named in a status.
pub const MAX_FAILING: usize = 10;

/// The types of [`FalcoRuleStatus::conditions`], in the order in which they come true.
pub mod condition {
    /// The rules compile together with all others.
    pub const ACCEPTED: &str = "Accepted";
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

    /// Accepted: the rules compile together with all others. Distributed: the bundle in the cluster holds them.
    /// Loaded: every node runs them.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// The bundle that holds the rules (SHA-256 of its text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_hash: Option<String>,

    /// Where the rules run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
}

/// Where rules run.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// `loaded/desired`, for `kubectl get`.
    pub summary: String,

    /// Nodes with an agent.
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
