//! The SakerNode resource: what runs on one node. The comments on the fields are what `kubectl explain` shows.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type; they are not the same attribute"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::conditions;

/// At most so many rules are named that a node refused.
pub const MAX_REFUSED: usize = 10;

/// The types of [`SakerNodeStatus::conditions`].
pub mod condition {
    /// The agent answers the operator.
    pub const ANSWERING: &str = "Answering";
    /// It runs the bundle in the cluster.
    pub const CURRENT: &str = "Current";
    /// Its sources of events work.
    pub const SEEING: &str = "Seeing";
}

/// Nothing can be asked of it: the operator makes one for each node with an agent.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[kube(
    group = "saker.dev",
    version = "v1alpha1",
    kind = "SakerNode",
    shortname = "skn",
    category = "saker",
    status = "SakerNodeStatus",
    doc = "What the agent of one node runs, as the operator last heard. It has the node's name, and goes with the node.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(
        name = "Answering",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Answering\")].status"
    ),
    printcolumn(
        name = "Current",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Current\")].status",
        description = "Whether it runs the bundle in the cluster"
    ),
    printcolumn(
        name = "Seeing",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Seeing\")].status",
        description = "Whether its sources of events work"
    ),
    printcolumn(name = "Bundle", type_ = "string", json_path = ".status.bundle"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.rules.loaded"),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.rules.rejected"),
    printcolumn(name = "Blind", type_ = "integer", json_path = ".status.rules.blind", priority = 1),
    printcolumn(name = "Lost", type_ = "integer", json_path = ".status.lost", description = "Events lost"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct SakerNodeSpec {}

/// What the agent runs, written by the operator at most once a minute.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SakerNodeStatus {
    /// Answering: the agent answers the operator. Current: it runs the bundle in the cluster. Seeing: its sources of
    /// events work.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// The first digits of `bundleHash`, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,

    /// The bundle whose rules run (SHA-256 of its text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_hash: Option<String>,

    /// How many rules run.
    #[serde(default)]
    pub rules: RuleCounts,

    /// Rules that the agent refused, at most ten, each with file, line and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,

    /// Events lost since the agent started, of all sources.
    #[serde(default)]
    pub lost: i64,

    /// The agent's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How many rules run on a node.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Evaluated.
    pub loaded: i32,
    /// Refused.
    pub rejected: i32,
    /// Evaluated, and without a chance to match there.
    pub blind: i32,
}
