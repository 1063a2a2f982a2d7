//! The FalcoRule resource. The comments on the fields are what `kubectl explain falcorule` shows.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type; they are not the same attribute"
)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{items, status::FalcoRuleStatus};

/// Detection rules in Falco's language. They run on every node of the fleet.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "saker.dev",
    version = "v1alpha1",
    kind = "FalcoRule",
    namespaced,
    shortname = "fr",
    category = "saker",
    status = "FalcoRuleStatus",
    doc = "Detection rules in Falco's language, checked by the operator and run on every node of the fleet.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Enabled", type_ = "boolean", json_path = ".spec.enabled"),
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
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.raw) || has(self.rules) || has(self.macros) || has(self.lists)")
        .message("give rules, macros or lists, or a Falco rules file as raw"),
    validation = Rule::new("!has(self.raw) || !(has(self.rules) || has(self.macros) || has(self.lists))")
        .message("raw stands alone: put rules, macros and lists either into it or beside each other, not both")
)]
#[serde(rename_all = "camelCase")]
pub struct FalcoRuleSpec {
    /// Rules: what to detect and what to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["rule".into()]))]
    pub rules: Option<Vec<items::Rule>>,

    /// Macros: conditions with a name, usable in the conditions of every FalcoRule and of the default rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["macro".into()]))]
    pub macros: Option<Vec<items::Macro>>,

    /// Lists: values with a name, usable in the conditions of every FalcoRule and of the default rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["list".into()]))]
    pub lists: Option<Vec<items::List>>,

    /// A Falco rules file as it is (YAML). Everything that a rules file may hold works here, overrides included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000_000))]
    pub raw: Option<String>,

    /// Whether it is loaded at all. A disabled FalcoRule is neither checked nor sent to the nodes.
    #[serde(default = "items::enabled")]
    pub enabled: bool,

    /// Order of loading: lower first, then by namespace and name. What comes later sees what came before and may
    /// replace it. The default rules come before all.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub weight: i32,
}
