//! The FalcoRule resource. The comments on the fields are what `kubectl explain falcorule` shows.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type; they are not the same attribute"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{items, scope::Scope, selector::Selector, status::FalcoRuleStatus};

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
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.source",
        description = "Where the events come from"
    ),
    printcolumn(
        name = "Priority",
        type_ = "string",
        json_path = ".status.priority",
        description = "The most urgent priority of its rules"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Scope",
        type_ = "string",
        json_path = ".status.scope",
        description = "Whose events the rules see"
    ),
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
    printcolumn(
        name = "Hits",
        type_ = "integer",
        json_path = ".status.hits",
        description = "How often its rules matched"
    ),
    printcolumn(name = "Last Match", type_ = "date", json_path = ".status.lastMatchTime", priority = 1),
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
        .message("raw stands alone: put rules, macros and lists either into it or beside each other, not both"),
    validation = Rule::new("!has(self.scope) || self.scope != 'Namespace' || !has(self.selector) || !has(self.selector.host) || !self.selector.host")
        .message("processes of the host are in no namespace: selector.host needs scope Cluster")
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

    /// What becomes of matches. `Enforce`: they are alerts. `Shadow`: they are counted in the status and nothing else,
    /// to see what a rule would do. `Off`: the rules are neither checked nor sent to the nodes.
    #[serde(default)]
    pub mode: Mode,

    /// Whose events the rules see. `Cluster`: those of the whole fleet. `Namespace`: those of the pods of this object's
    /// namespace, and audit events about it; names of macros, lists and rules are then the namespace's own. The operator
    /// may confine a namespace to the latter: `status.scope` tells.
    #[serde(default)]
    pub scope: Scope,

    /// Where the rules apply: nodes, pods, containers, the host. Everywhere in the scope if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,

    /// Order of loading: lower first, then by namespace and name. What comes later sees what came before and may
    /// replace it. The default rules come before all.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub weight: i32,
}

/// What becomes of matches.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the field's comment tells; a comment on each would make the schema no enum")]
pub enum Mode {
    #[default]
    Enforce,
    Shadow,
    Off,
}
