//! What a resource's status must be. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saker_crds::{
    FalcoRuleStatus,
    agent::Hits,
    status::{Nodes, condition},
};

use super::super::validate::{Outcome, Verdict};
use crate::{
    conditions::{Said, conditions},
    rollout::Rollout,
};

/// The status of one resource; equal to what it has when nothing but figures changed.
pub(super) fn status(verdict: &Verdict, rollout: &Rollout) -> FalcoRuleStatus {
    let Verdict { resource, rules, outcome, .. } = verdict;
    let distributed = *outcome == Outcome::Accepted;
    let nodes = distributed.then(|| rollout.nodes(&verdict.file, verdict.binding.as_ref()));
    let old = resource.status().cloned().unwrap_or_default();
    let generation = resource.metadata().generation;
    let said = [
        (condition::ACCEPTED, accepted(outcome)),
        (condition::COMPILED, compiled(outcome)),
        (condition::DISTRIBUTED, in_bundle(outcome)),
        (condition::LOADED, nodes.as_ref().map_or_else(|| in_bundle(outcome), loaded)),
    ];
    let sources: Vec<_> = rules.sources.iter().map(String::as_str).collect();
    FalcoRuleStatus {
        observed_generation: generation,
        conditions: conditions(said, &old.conditions, generation, rollout.now),
        bundle_hash: distributed.then(|| rollout.hash.to_owned()),
        scope: Some(verdict.scope),
        source: (!sources.is_empty()).then(|| sources.join(",")),
        priority: rules.priority.map(|(_, name)| name.to_owned()),
        nodes,
        hits: old.hits.or_else(|| (distributed && resource.defines_rules()).then_some(0)),
        last_match_time: old.last_match_time,
    }
}

/// The same status with matches that it does not tell of yet. A node whose clock is ahead does not move the last match
/// into the future.
pub(super) fn with_hits(mut status: FalcoRuleStatus, untold: Hits, now: Timestamp) -> FalcoRuleStatus {
    if untold.matches > 0 {
        let matches = i64::try_from(untold.matches).unwrap_or(i64::MAX);
        status.hits = Some(status.hits.unwrap_or_default().saturating_add(matches));
        let last = i64::try_from(untold.last / 1_000_000_000).ok();
        let last = last.and_then(|second| Timestamp::from_second(second).ok()).map(|last| last.min(now));
        let known = status.last_match_time.take().map(|time| time.0);
        status.last_match_time = known.max(last).map(Time);
    }
    status
}

fn accepted(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted => ("True", "Accepted", "it is taken into account".to_owned()),
        Outcome::Off => ("Unknown", "Off", "spec.mode is Off".to_owned()),
        Outcome::Expired(end) => ("Unknown", "Expired", expired(*end)),
        Outcome::Invalid(message) => ("False", "Invalid", message.clone()),
        Outcome::Rejected(message) => ("False", "Rejected", message.clone()),
    }
}

fn compiled(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted => ("True", "Compiled", "compiles together with all other rules".to_owned()),
        Outcome::Rejected(message) => ("False", "Rejected", message.clone()),
        Outcome::Off | Outcome::Expired(_) | Outcome::Invalid(_) => {
            ("Unknown", "NotCompiled", "see the condition Accepted".to_owned())
        }
    }
}

fn in_bundle(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted => ("True", "InBundle", "the bundle in the cluster holds it".to_owned()),
        Outcome::Off => ("False", "Off", "spec.mode is Off".to_owned()),
        Outcome::Expired(end) => ("False", "Expired", expired(*end)),
        Outcome::Invalid(_) | Outcome::Rejected(_) => {
            ("False", "Rejected", "see the condition Accepted".to_owned())
        }
    }
}

fn expired(end: Timestamp) -> String {
    format!(
        "it ended at {end}: the rule is as it was before; delete this object or give it a later spec.expiresAt"
    )
}

fn loaded(nodes: &Nodes) -> Said {
    let message = format!("runs on {} nodes", nodes.summary);
    match nodes {
        Nodes { desired: 0, .. } => {
            ("False", "NoAgents", "no node with an agent was found, of those that it is for".to_owned())
        }
        Nodes { desired, loaded, .. } if desired == loaded => ("True", "Loaded", message),
        Nodes { failing, .. } if failing.is_empty() => ("False", "Waiting", message),
        Nodes { .. } => ("False", "NodesFailing", format!("{message}; status.nodes.failing says why")),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use saker_crds::{FalcoRuleSpec, Scope, agent::AgentStatus};
    use saker_rules::binding::Binding;
    use serde::Deserialize;

    use super::*;
    use crate::{
        agents::Report,
        falco_rule::{
            Resource,
            validate::{Summary, tests::rule},
        },
        rollout::Labels,
        shipped::Shipped,
    };

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        binding: Option<Binding>,
        #[serde(default)]
        labels: BTreeMap<String, BTreeMap<String, String>>,
        agents: Vec<Agent>,
        loaded: (String, String),
        nodes: Nodes,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Agent {
        Silent { silent: String },
        Answers(Box<AgentStatus>),
    }

    fn verdict(outcome: Outcome) -> Verdict {
        let resource = Resource::Rule(Arc::new(rule("a/x", FalcoRuleSpec::default())));
        let priority = Some((4, "Warning"));
        let sources = ["k8s_audit", "syscall"].map(str::to_owned).into();
        Verdict {
            resource,
            file: "falcorule/a/x.yaml".to_owned(),
            scope: Scope::Cluster,
            binding: None,
            rules: Summary { sources, priority },
            outcome,
        }
    }

    fn report(agent: Agent) -> Report {
        match agent {
            Agent::Silent { silent } => Report { node: "silent node".to_owned(), answer: Err(silent) },
            Agent::Answers(status) => Report { node: status.hostname.clone(), answer: Ok(*status) },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status_at(verdict: &Verdict, now: Timestamp) -> FalcoRuleStatus {
        status(
            verdict,
            &Rollout { hash: "h", reports: &[], labels: &Labels::new(), shipped: &Shipped::default(), now },
        )
    }

    #[test]
    fn agents_make_the_condition_loaded() {
        let cases: Vec<Case> =
            serde_saphyr::from_str(include_str!("../../../tests/cases/status.yaml")).unwrap();
        assert!(!cases.is_empty());
        for Case { name, binding, labels, agents, loaded, nodes } in cases {
            let reports: Vec<_> = agents.into_iter().map(report).collect();
            let labels: Labels = labels.into_iter().collect();
            let rollout = Rollout {
                hash: "h2",
                reports: &reports,
                labels: &labels,
                shipped: &Shipped::default(),
                now: at(5),
            };
            let status = status(&Verdict { binding, ..verdict(Outcome::Accepted) }, &rollout);
            assert_eq!(status.nodes.unwrap(), nodes, "{name}");
            let condition = &status.conditions[3];
            assert_eq!((condition.status.clone(), condition.reason.clone()), loaded, "{name}");
        }
    }

    #[test]
    fn outcomes_make_the_other_conditions() {
        let table = [
            (Outcome::Accepted, "True True True", Some("h")),
            (Outcome::Rejected("line 1".to_owned()), "False False False", None),
            (Outcome::Invalid("no".to_owned()), "False Unknown False", None),
            (Outcome::Off, "Unknown Unknown False", None),
            (Outcome::Expired(at(1)), "Unknown Unknown False", None),
        ];
        for (outcome, expected, hash) in table {
            let status = status_at(&verdict(outcome), at(5));
            let said: Vec<_> = status.conditions.iter().take(3).map(|c| c.status.as_str()).collect();
            assert_eq!((said.join(" ").as_str(), status.bundle_hash.as_deref()), (expected, hash));
        }
    }

    #[test]
    fn what_the_columns_show() {
        let status = status_at(&verdict(Outcome::Accepted), at(5));
        assert_eq!(status.source.as_deref(), Some("k8s_audit,syscall"));
        assert_eq!((status.priority.as_deref(), status.scope), (Some("Warning"), Some(Scope::Cluster)));
        assert_eq!((status.hits, status.last_match_time), (Some(0), None));
    }

    #[test]
    fn matches_are_added_to_what_the_status_said() {
        let mut verdict = verdict(Outcome::Accepted);
        let untold = |matches, last| Hits { matches, last };
        let first = with_hits(status_at(&verdict, at(5)), untold(3, 7_900_000_000), at(99));
        assert_eq!((first.hits, first.last_match_time.clone()), (Some(3), Some(Time(at(7)))));
        verdict.resource.set_status(Some(first.clone()));
        assert_eq!(with_hits(status_at(&verdict, at(9)), untold(0, 0), at(99)), first);
        let second = with_hits(status_at(&verdict, at(9)), untold(2, 1_000_000_000), at(99));
        assert_eq!(
            (second.hits, second.last_match_time),
            (Some(5), Some(Time(at(7)))),
            "a clock that is behind"
        );
        let third = with_hits(status_at(&verdict, at(9)), untold(1, u64::MAX), at(20));
        assert_eq!(third.last_match_time, Some(Time(at(20))), "a clock that is ahead");
    }

    #[test]
    fn a_status_that_says_the_same_is_the_same() {
        let mut verdict = verdict(Outcome::Accepted);
        let first = status_at(&verdict, at(5));
        verdict.resource.set_status(Some(first.clone()));
        assert_eq!(status_at(&verdict, at(9)), first);
    }
}
