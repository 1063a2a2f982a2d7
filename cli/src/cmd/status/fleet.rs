//! The fleet on a terminal. Pure.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use kube::ResourceExt as _;
use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleStatus, SakerNode, saker_node::condition};

use crate::table;

/// What a cluster says of Saker.
pub(super) struct Fleet {
    pub(super) nodes: Vec<SakerNode>,
    pub(super) rules: Vec<FalcoRule>,
    pub(super) exceptions: Vec<FalcoRuleException>,
}

impl Fleet {
    /// Whether every node answers, sees, runs the current bundle and lost nothing, and every object is loaded.
    pub(super) fn is_well(&self) -> bool {
        let node = |node: &SakerNode| trouble(node).is_none() && lost(node) == 0;
        let all = self.statuses().all(|(_, status)| status.is_some_and(is_settled));
        !self.nodes.is_empty() && self.nodes.iter().all(node) && all
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.summary(out)?;
        if !self.nodes.is_empty() {
            writeln!(out)?;
            table::write(out, &with_head(NODE_HEAD, self.nodes.iter().map(node_row)))?;
        }
        if !self.rules.is_empty() {
            writeln!(out)?;
            table::write(out, &with_head(RULE_HEAD, self.rules.iter().map(rule_row)))?;
        }
        if !self.exceptions.is_empty() {
            writeln!(out)?;
            table::write(out, &with_head(EXCEPTION_HEAD, self.exceptions.iter().map(exception_row)))?;
        }
        self.troubles(out)
    }

    fn summary(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.nodes.is_empty() {
            return writeln!(out, "no node runs an agent, or the operator has not written about any yet");
        }
        let current = self.nodes.iter().filter(|node| is(node, condition::CURRENT)).count();
        let lost = self.nodes.iter().fold(0_i64, |sum, node| sum.saturating_add(lost(node)));
        writeln!(out, "{current} of {} nodes run the current bundle; {lost} events lost", self.nodes.len())?;
        let mut bundles: BTreeMap<&str, usize> = BTreeMap::new();
        for bundle in self.nodes.iter().map(bundle) {
            let count = bundles.entry(bundle).or_default();
            *count = count.saturating_add(1);
        }
        if bundles.len() > 1 {
            let each: Vec<_> = bundles.iter().map(|(bundle, nodes)| format!("{bundle} on {nodes}")).collect();
            writeln!(out, "bundles are skewed: {}", each.join(", "))?;
        }
        Ok(())
    }

    /// What is not as it shall be, in words.
    fn troubles(&self, out: &mut dyn Write) -> io::Result<()> {
        let of_nodes = self.nodes.iter().filter_map(|node| Some((node.name_any(), trouble(node)?)));
        let of_objects = self.statuses().filter_map(|(name, status)| Some((name, unsettled(status)?)));
        let troubles: Vec<_> = of_nodes.chain(of_objects).collect();
        for (name, trouble) in &troubles {
            writeln!(out, "\n{name}: {trouble}")?;
        }
        for node in &self.nodes {
            for refused in node.status.iter().flat_map(|status| &status.refused) {
                writeln!(out, "\n{}: refused {refused}", node.name_any())?;
            }
        }
        Ok(())
    }

    /// Every object that becomes rules, with its status.
    fn statuses(&self) -> impl Iterator<Item = (String, Option<&FalcoRuleStatus>)> {
        let rules = self.rules.iter().map(|rule| (id(rule), rule.status.as_ref()));
        rules.chain(self.exceptions.iter().map(|exception| (id(exception), exception.status.as_ref())))
    }
}

const NODE_HEAD: [&str; 8] = ["NODE", "ANSWERING", "CURRENT", "SEEING", "BUNDLE", "RULES", "LOST", "VERSION"];
const RULE_HEAD: [&str; 7] = ["FALCORULE", "SOURCE", "PRIORITY", "MODE", "SCOPE", "LOADED", "HITS"];
const EXCEPTION_HEAD: [&str; 4] = ["FALCORULEEXCEPTION", "RULE", "LOADED", "EXPIRES"];

fn with_head<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<[String; N]> {
    [head.map(str::to_owned)].into_iter().chain(rows).collect()
}

fn node_row(node: &SakerNode) -> [String; 8] {
    let status = node.status.clone().unwrap_or_default();
    let state = |type_| said(node, type_).map_or("", |[status, ..]| status).to_owned();
    [
        node.name_any(),
        state(condition::ANSWERING),
        state(condition::CURRENT),
        state(condition::SEEING),
        bundle(node).to_owned(),
        status.rules.loaded.to_string(),
        status.lost.to_string(),
        status.version.unwrap_or_default(),
    ]
}

fn rule_row(rule: &FalcoRule) -> [String; 7] {
    let status = rule.status.clone().unwrap_or_default();
    [
        id(rule),
        status.source.clone().unwrap_or_default(),
        status.priority.clone().unwrap_or_default(),
        format!("{:?}", rule.spec.mode),
        format!("{:?}", status.scope.unwrap_or(rule.spec.scope)),
        loaded(&status),
        status.hits.unwrap_or_default().to_string(),
    ]
}

fn exception_row(exception: &FalcoRuleException) -> [String; 4] {
    let status = exception.status.clone().unwrap_or_default();
    let expires = exception.spec.expires_at.as_ref().map(|end| end.0.to_string());
    [id(exception), exception.spec.rule.clone(), loaded(&status), expires.unwrap_or_default()]
}

fn id(object: &impl kube::ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn bundle(node: &SakerNode) -> &str {
    node.status.as_ref().and_then(|status| status.bundle.as_deref()).unwrap_or("none")
}

fn lost(node: &SakerNode) -> i64 {
    node.status.as_ref().map_or(0, |status| status.lost)
}

fn loaded(status: &FalcoRuleStatus) -> String {
    status.nodes.as_ref().map(|nodes| nodes.summary.clone()).unwrap_or_default()
}

/// Status, reason and message of a condition.
fn said<'n>(node: &'n SakerNode, type_: &str) -> Option<[&'n str; 3]> {
    let found = node.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)?;
    Some([&found.status, &found.reason, &found.message])
}

fn is(node: &SakerNode, type_: &str) -> bool {
    said(node, type_).is_some_and(|[status, ..]| status == "True")
}

/// The first thing that is wrong with a node.
fn trouble(node: &SakerNode) -> Option<String> {
    let all = [condition::ANSWERING, condition::CURRENT, condition::SEEING];
    let first = all.into_iter().find(|type_| !is(node, type_))?;
    Some(said(node, first).map_or_else(
        || format!("nothing is known of {first} yet"),
        |[_, reason, message]| format!("not {first} ({reason}): {message}"),
    ))
}

/// Loaded everywhere, or left out because that was asked for.
fn is_settled(status: &FalcoRuleStatus) -> bool {
    let loaded = status.conditions.iter().any(|c| c.type_ == "Loaded" && c.status == "True");
    let asked = status.conditions.iter().any(|c| c.type_ == "Accepted" && c.status == "Unknown");
    loaded || asked
}

/// Why an object is not loaded: the first of its conditions that is false.
fn unsettled(status: Option<&FalcoRuleStatus>) -> Option<String> {
    let Some(status) = status else { return Some("the operator has not looked at it yet".to_owned()) };
    let first = status.conditions.iter().find(|condition| condition.status != "True");
    let said = first.map_or_else(String::new, |c| format!("not {} ({}): {}", c.type_, c.reason, c.message));
    (!is_settled(status)).then_some(said)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &str, name: &str, spec: &Value, status: &Value) -> Value {
        let metadata = json!({"name": name, "namespace": "ns"});
        json!({"apiVersion": "saker.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status})
    }

    fn condition(type_: &str, status: &str) -> Value {
        let time = "2026-01-01T00:00:00Z";
        json!({"type": type_, "status": status, "reason": "Why", "message": "because", "lastTransitionTime": time})
    }

    fn node(name: &str, current: &str, lost: i64) -> SakerNode {
        let conditions =
            [condition("Answering", "True"), condition("Current", current), condition("Seeing", "True")];
        let bundle = if current == "True" { "22222222" } else { "11111111" };
        let status = json!({"conditions": conditions, "bundle": bundle, "lost": lost, "version": "1", "rules": {"loaded": 3, "rejected": 0, "blind": 0}});
        serde_json::from_value(object("SakerNode", name, &json!({}), &status)).expect("a SakerNode")
    }

    fn rule(name: &str, loaded: &str) -> FalcoRule {
        let conditions = [condition("Accepted", "True"), condition("Loaded", loaded)];
        let nodes = json!({"summary": "1/2", "desired": 2, "loaded": 1, "rejected": 0});
        let status = json!({"conditions": conditions, "nodes": nodes, "hits": 7, "scope": "Namespace", "source": "syscall", "priority": "Notice"});
        serde_json::from_value(object("FalcoRule", name, &json!({"raw": "x"}), &status)).expect("a FalcoRule")
    }

    fn written(fleet: &Fleet) -> String {
        let mut out = Vec::new();
        fleet.write(&mut out).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_fleet_that_is_well() {
        let nodes = vec![node("n1", "True", 0), node("n2", "True", 0)];
        let fleet = Fleet { nodes, rules: vec![rule("a", "True")], exceptions: Vec::new() };
        assert!(fleet.is_well());
        let expected = "\
2 of 2 nodes run the current bundle; 0 events lost

NODE  ANSWERING  CURRENT  SEEING  BUNDLE    RULES  LOST  VERSION
n1    True       True     True    22222222  3      0     1
n2    True       True     True    22222222  3      0     1

FALCORULE  SOURCE   PRIORITY  MODE     SCOPE      LOADED  HITS
ns/a       syscall  Notice    Enforce  Namespace  1/2     7
";
        assert_eq!(written(&fleet), expected);
    }

    #[test]
    fn skew_loss_and_what_is_not_loaded_are_told() {
        let nodes = vec![node("n1", "True", 4), node("n2", "False", 0)];
        let fleet = Fleet { nodes, rules: vec![rule("a", "False")], exceptions: Vec::new() };
        assert!(!fleet.is_well());
        let text = written(&fleet);
        for part in [
            "1 of 2 nodes run the current bundle; 4 events lost\nbundles are skewed: 11111111 on 1, 22222222 on 1\n",
            "\nn2: not Current (Why): because\n",
            "\nns/a: not Loaded (Why): because\n",
        ] {
            assert!(text.contains(part), "no '{part}' in:\n{text}");
        }
        let lossy = Fleet { nodes: vec![node("n1", "True", 1)], rules: Vec::new(), exceptions: Vec::new() };
        assert!(!lossy.is_well());
    }

    #[test]
    fn an_empty_cluster_is_not_well() {
        let fleet = Fleet { nodes: Vec::new(), rules: Vec::new(), exceptions: Vec::new() };
        assert!(!fleet.is_well() && written(&fleet).starts_with("no node runs an agent"));
    }
}
