//! Control planes as data: whose turn it is, and what the AuditSink says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use saker_crds::{AuditSink, AuditSinkSpec, agent::ApiServer};
use serde::Deserialize;

use super::{
    certificates::Issued,
    control_plane::Node,
    knowledge::Knowledge,
    order::{Ordered, revision, wanted},
    status::Facts,
};

/// Seconds since the Unix epoch.
const NOW: i64 = 1_800_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    spec: AuditSinkSpec,
    nodes: Vec<NodeCase>,
    /// Who has the turn already.
    #[serde(default)]
    current: String,
    /// Who gets it.
    #[serde(default)]
    turn: String,
    /// What the order says of nodes where it came to nothing.
    #[serde(default)]
    failed: String,
    /// Of each node.
    states: Vec<String>,
    /// Status and reason.
    conditions: BTreeMap<String, String>,
    /// Words of messages.
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    snippet: Vec<String>,
}

#[derive(Deserialize)]
struct NodeCase {
    name: String,
    /// Seconds since the last event.
    silence: Option<i64>,
    #[serde(flatten)]
    server: ApiServer,
}

impl NodeCase {
    fn node(self) -> Node {
        let time = |silence| u64::try_from(NOW - silence).unwrap() * 1_000_000_000;
        Node { name: self.name, last_event: self.silence.map(time), server: self.server }
    }
}

fn sink(spec: AuditSinkSpec) -> AuditSink {
    let mut sink = AuditSink::new("cluster", spec);
    sink.metadata.uid = Some("abcd-ef".to_owned());
    sink.metadata.generation = Some(3);
    sink
}

fn issued(days: i64) -> Issued {
    let until = Timestamp::from_second(NOW + days * 86_400).unwrap();
    Issued { kubeconfig: "KUBECONFIG".to_owned(), until }
}

fn check(case: Case) {
    let name = case.name;
    let sink = sink(case.spec);
    let nodes: Vec<_> = case.nodes.into_iter().map(NodeCase::node).collect();
    let narrow =
        BTreeMap::from([("narrow".to_owned(), vec!["A rule".to_owned()]), ("wide".to_owned(), vec![])]);
    let knowledge = Knowledge::of("POLICY", narrow);
    let mut present = wanted(&sink.spec, revision(&sink), None, "POLICY", "KUBECONFIG");
    present.order.turn = case.current;
    let ordered = wanted(&sink.spec, revision(&sink), Some(&present), "ANOTHER", "ANOTHER");
    let ordered = ordered.with_turn(&nodes, Some(&present));
    assert_eq!(
        (ordered.order.turn.as_str(), ordered.order.failed.as_str()),
        (&*case.turn, &*case.failed),
        "{name}"
    );
    let issued = issued(300);
    let facts = Facts {
        sink: &sink,
        nodes: &nodes,
        order: &ordered.order,
        knowledge: &knowledge,
        issued: &issued,
        namespace: "ns",
    };
    let status = facts.status(Timestamp::from_second(NOW).unwrap());
    let states: Vec<_> = status.nodes.iter().map(|node| node.state.clone()).collect();
    assert_eq!(states, case.states, "{name}");
    let mut conditions: BTreeMap<_, _> =
        status.conditions.iter().map(|c| (c.type_.clone(), format!("{} {}", c.status, c.reason))).collect();
    assert_eq!(conditions.len(), 6, "{name}");
    conditions.retain(|type_, text| text.starts_with("True") || case.conditions.contains_key(type_));
    assert_eq!(conditions, case.conditions, "{name}");
    let said: String = status.conditions.iter().map(|c| c.message.clone() + "\n").collect();
    for (texts, all) in [(&case.says, &said), (&case.snippet, &status.snippet)] {
        for text in texts {
            assert!(all.contains(text), "{name}: no {text:?} in\n{all}");
        }
    }
    assert_eq!(status.snippet.is_empty(), case.snippet.is_empty(), "{name}");
}

#[test]
fn control_planes() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/audit_sink.yaml")).unwrap();
    assert!(cases.len() > 10);
    cases.into_iter().for_each(check);
}

#[test]
fn a_policy_that_was_ordered_stays_until_the_spec_changes() {
    let spec = serde_json::from_value(serde_json::json!({"mode": "Patch"})).unwrap();
    let first = wanted(&spec, "a-1".to_owned(), None, "ONE", "K");
    let same = wanted(&spec, "a-1".to_owned(), Some(&first), "TWO", "K");
    assert_eq!(same, first, "a new rule starts no API server again");
    let next = wanted(&spec, "a-2".to_owned(), Some(&first), "TWO", "K");
    assert_eq!(next.policy, "TWO");
    assert_ne!(next.order.digest, first.order.digest);
    let off = wanted(&AuditSinkSpec::default(), "a-3".to_owned(), Some(&next), "TWO", "K");
    assert_eq!(off, Ordered::default(), "what was changed is taken back");
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let (knowledge, order, issued) = (Knowledge::default(), Ordered::default().order, issued(10));
    let mut sink = sink(AuditSinkSpec::default());
    let status = |sink: &AuditSink, second| {
        let facts = Facts {
            sink,
            nodes: &[],
            order: &order,
            knowledge: &knowledge,
            issued: &issued,
            namespace: "ns",
        };
        facts.status(Timestamp::from_second(second).unwrap())
    };
    let first = status(&sink, NOW);
    assert!(first.conditions[0].message.contains("certificate ends at"), "{:?}", first.conditions[0]);
    sink.status = Some(first.clone());
    assert_eq!(status(&sink, NOW + 100), first, "nothing to write");
}
