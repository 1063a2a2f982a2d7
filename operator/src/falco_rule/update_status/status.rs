//! What a resource's status must be. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use saker_crds::{
    FalcoRuleStatus,
    status::{FailingNode, MAX_FAILING, Nodes, condition},
};

use super::super::{
    memory::Shipped,
    validate::{Outcome, Verdict},
};
use crate::agents::Report;

/// Bytes of what a node said.
const MAX_SAID: usize = 512;

/// The reason of the condition Loaded as long as nodes have no answer to a bundle.
pub(in super::super) const ON_ITS_WAY: &str = "Waiting";

/// How far the bundle got.
pub(super) struct Rollout<'a> {
    /// The bundle.
    pub(super) hash: &'a str,
    /// What each agent says.
    pub(super) reports: &'a [Report],
    /// Which bundles hold what.
    pub(super) shipped: &'a Shipped,
    /// The time of a change found now.
    pub(super) now: jiff::Timestamp,
}

/// What one node does with one resource.
enum OnNode {
    Loaded,
    OnTheWay,
    Rejected(String),
    Silent(String),
}

/// Whether an agent runs the bundle.
pub(super) fn is_current(report: &Report, hash: &str) -> bool {
    report.answer.as_ref().is_ok_and(|answer| answer.bundle.as_deref() == Some(hash))
}

impl Rollout<'_> {
    /// Whether what an agent runs holds this file as it is now; an earlier bundle may, too.
    fn has(&self, report: &Report, file: &str) -> bool {
        let bundle = report.answer.as_ref().ok().and_then(|answer| answer.bundle.as_deref());
        is_current(report, self.hash) || bundle.is_some_and(|hash| self.shipped.holds(hash, file))
    }

    fn on_node(&self, report: &Report, file: &str) -> OnNode {
        let rules = match &report.answer {
            Ok(answer) => &answer.rules,
            Err(reason) => return OnNode::Silent(reason.clone()),
        };
        if !self.has(report, file) {
            return rules.last_error.clone().map_or(OnNode::OnTheWay, OnNode::Rejected);
        }
        let rejected = rules.reasons.iter().find(|rejected| rejected.is_in(file));
        rejected.map_or(OnNode::Loaded, |rejected| OnNode::Rejected(rejected.reason.clone()))
    }

    fn nodes(&self, file: &str) -> Nodes {
        let mut nodes = Nodes { desired: count(self.reports.len()), ..Nodes::default() };
        for report in self.reports {
            let message = match self.on_node(report, file) {
                OnNode::Loaded => {
                    nodes.loaded += 1;
                    continue;
                }
                OnNode::OnTheWay => continue,
                OnNode::Rejected(message) => {
                    nodes.rejected += 1;
                    message
                }
                OnNode::Silent(message) => message,
            };
            if nodes.failing.len() < MAX_FAILING {
                let message = super::cut(message, MAX_SAID);
                nodes.failing.push(FailingNode { node: report.node.clone(), message });
            }
        }
        nodes.summary = format!("{}/{}", nodes.loaded, nodes.desired);
        nodes
    }
}

/// The status of one resource; equal to what it has when nothing changed.
pub(super) fn status(verdict: &Verdict, rollout: &Rollout) -> FalcoRuleStatus {
    let distributed = verdict.outcome == Outcome::Accepted;
    let nodes = distributed.then(|| rollout.nodes(&verdict.file));
    let old = verdict.resource.status();
    let generation = verdict.resource.metadata().generation;
    let conditions = [
        (condition::ACCEPTED, accepted(&verdict.outcome)),
        (condition::DISTRIBUTED, in_bundle(&verdict.outcome)),
        (condition::LOADED, nodes.as_ref().map_or_else(|| in_bundle(&verdict.outcome), loaded)),
    ];
    let conditions = conditions.map(|(type_, (status, reason, message))| Condition {
        last_transition_time: Time(changed(old, type_, status).unwrap_or(rollout.now)),
        message,
        observed_generation: generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    });
    FalcoRuleStatus {
        observed_generation: generation,
        conditions: conditions.into(),
        bundle_hash: distributed.then(|| rollout.hash.to_owned()),
        nodes,
    }
}

/// When the condition took this status, if it has it already.
fn changed(old: Option<&FalcoRuleStatus>, type_: &str, status: &str) -> Option<jiff::Timestamp> {
    let old = old?.conditions.iter().find(|c| c.type_ == type_ && c.status == status)?;
    Some(old.last_transition_time.0)
}

type Said = (&'static str, &'static str, String);

fn accepted(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted => ("True", "Compiled", "compiles together with all other rules".to_owned()),
        Outcome::Disabled => ("Unknown", "Disabled", "spec.enabled is false".to_owned()),
        Outcome::Expired(end) => ("Unknown", "Expired", expired(*end)),
        Outcome::Rejected(message) => ("False", "Rejected", message.clone()),
    }
}

fn in_bundle(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted => ("True", "InBundle", "the bundle in the cluster holds it".to_owned()),
        Outcome::Disabled => ("False", "Disabled", "spec.enabled is false".to_owned()),
        Outcome::Expired(end) => ("False", "Expired", expired(*end)),
        Outcome::Rejected(_) => ("False", "Rejected", "see the condition Accepted".to_owned()),
    }
}

fn expired(end: jiff::Timestamp) -> String {
    format!(
        "it ended at {end}: the rule is as it was before; delete this object or give it a later spec.expiresAt"
    )
}

fn loaded(nodes: &Nodes) -> Said {
    let message = format!("runs on {} nodes", nodes.summary);
    match nodes {
        Nodes { desired: 0, .. } => ("False", "NoAgents", "no agent was found".to_owned()),
        Nodes { desired, loaded, .. } if desired == loaded => ("True", "Loaded", message),
        Nodes { failing, .. } if failing.is_empty() => ("False", ON_ITS_WAY, message),
        Nodes { .. } => ("False", "NodesFailing", format!("{message}; status.nodes.failing says why")),
    }
}

fn count(nodes: usize) -> i32 {
    i32::try_from(nodes).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use saker_crds::{FalcoRuleSpec, agent::AgentStatus};
    use serde::Deserialize;

    use super::*;
    use crate::falco_rule::{Resource, validate::tests::rule};

    #[derive(Deserialize)]
    struct Case {
        name: String,
        agents: Vec<Agent>,
        loaded: (String, String),
        nodes: Nodes,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Agent {
        Silent { silent: String },
        Answers(AgentStatus),
    }

    fn verdict(outcome: Outcome) -> Verdict {
        let resource = Resource::Rule(Arc::new(rule("a/x", FalcoRuleSpec::default())));
        Verdict { resource, file: "falcorule/a/x.yaml".to_owned(), outcome }
    }

    fn report(agent: Agent) -> Report {
        match agent {
            Agent::Silent { silent } => Report { node: "silent node".to_owned(), answer: Err(silent) },
            Agent::Answers(status) => Report { node: status.hostname.clone(), answer: Ok(status) },
        }
    }

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn agents_make_the_condition_loaded() {
        let cases: Vec<Case> =
            serde_saphyr::from_str(include_str!("../../../tests/cases/status.yaml")).unwrap();
        assert!(!cases.is_empty());
        for Case { name, agents, loaded, nodes } in cases {
            let reports: Vec<_> = agents.into_iter().map(report).collect();
            let rollout = Rollout { hash: "h2", reports: &reports, shipped: &Shipped::default(), now: at(5) };
            let status = status(&verdict(Outcome::Accepted), &rollout);
            assert_eq!(status.nodes.unwrap(), nodes, "{name}");
            let condition = &status.conditions[2];
            assert_eq!((condition.status.clone(), condition.reason.clone()), loaded, "{name}");
        }
    }

    #[test]
    fn outcomes_make_the_other_conditions() {
        let rollout = Rollout { hash: "h", reports: &[], shipped: &Shipped::default(), now: at(5) };
        let rejected = Outcome::Rejected("line 1".to_owned());
        let table = [
            (Outcome::Accepted, "True True", Some("h")),
            (rejected, "False False", None),
            (Outcome::Disabled, "Unknown False", None),
            (Outcome::Expired(at(1)), "Unknown False", None),
        ];
        for (outcome, expected, hash) in table {
            let status = status(&verdict(outcome), &rollout);
            let said: Vec<_> = status.conditions.iter().take(2).map(|c| c.status.as_str()).collect();
            assert_eq!((said.join(" ").as_str(), status.bundle_hash.as_deref()), (expected, hash));
        }
    }

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let mut verdict = verdict(Outcome::Accepted);
        let first =
            status(&verdict, &Rollout { hash: "h", reports: &[], shipped: &Shipped::default(), now: at(5) });
        verdict.resource.set_status(Some(first.clone()));
        assert_eq!(
            status(&verdict, &Rollout { hash: "h", reports: &[], shipped: &Shipped::default(), now: at(9) }),
            first
        );
        verdict.outcome = Outcome::Rejected("no".to_owned());
        let times =
            status(&verdict, &Rollout { hash: "h", reports: &[], shipped: &Shipped::default(), now: at(9) })
                .conditions;
        let times: Vec<_> = times.iter().map(|c| c.last_transition_time.0.as_second()).collect();
        assert_eq!(times, [9, 9, 5], "Loaded was false before");
    }

    #[test]
    fn at_most_ten_failing_nodes_are_named() {
        let silent = |i| Report { node: format!("n{i}"), answer: Err("x".repeat(10_000)) };
        let reports: Vec<_> = (0..500).map(silent).collect();
        let rollout = Rollout { hash: "h", reports: &reports, shipped: &Shipped::default(), now: at(5) };
        let nodes = status(&verdict(Outcome::Accepted), &rollout).nodes.unwrap();
        assert_eq!((nodes.desired, nodes.failing.len()), (500, MAX_FAILING));
        assert!(nodes.failing.iter().all(|failing| failing.message.len() <= MAX_SAID));
    }
}
