//! The FalcoRuleException resource: tunes one rule. The comments on the fields are what `kubectl explain` shows.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type; they are not the same attribute"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    items::AnyValue,
    status::{FalcoRuleStatus, time},
};

/// Events that a rule shall pass over, with the reason and, better, an end.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "saker.dev",
    version = "v1alpha1",
    kind = "FalcoRuleException",
    namespaced,
    shortname = "fre",
    category = "saker",
    status = "FalcoRuleStatus",
    doc = "Events that one rule passes over: who may do what the rule is about, why, and until when.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Rule", type_ = "string", json_path = ".spec.rule"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Loaded",
        type_ = "string",
        json_path = ".status.nodes.summary",
        description = "Nodes that run it, of all nodes"
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct FalcoRuleExceptionSpec {
    /// The rule that is tuned, by its name: one of a FalcoRule of scope Namespace in this namespace, or else a default
    /// rule or one of any other FalcoRule. In a namespace that the operator confines only the former.
    #[schemars(length(min = 1, max = 256))]
    pub rule: String,

    /// Why these events are fine, for whoever reads this next year.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"\S"))]
    pub reason: String,

    /// The fields that are compared, for example `proc.name`.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub fields: Vec<String>,

    /// The operator for each field; `=` for all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 32)))]
    pub comps: Vec<String>,

    /// Rows of values, each with one value per field: an event is passed over when a whole row matches. A value may
    /// itself be a list where the operator takes one.
    #[schemars(length(min = 1, max = 4096), inner(length(min = 1, max = 64)))]
    pub values: Vec<Vec<AnyValue>>,

    /// From then on the rule is as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub expires_at: Option<Time>,
}
