//! What a SakerNode's status must be. Pure.

use saker_crds::{
    SakerNodeStatus,
    agent::AgentStatus,
    bundle::short,
    saker_node::{MAX_REFUSED, RuleCounts, condition},
};

use crate::{
    agents::Report,
    conditions::{Said, conditions},
    rollout::{Rollout, cut},
};

/// Bytes of what an agent said.
const MAX_SAID: usize = 512;

/// What one agent says, beside what was last written of it: a silent one is remembered.
pub(super) fn status(report: &Report, rollout: &Rollout, old: Option<&SakerNodeStatus>) -> SakerNodeStatus {
    let old = old.cloned().unwrap_or_default();
    let said = [
        (condition::ANSWERING, answering(report)),
        (condition::CURRENT, current(report, rollout)),
        (condition::SEEING, seeing(report)),
    ];
    let conditions = conditions(said, &old.conditions, None, rollout.now);
    match &report.answer {
        Ok(answer) => SakerNodeStatus { conditions, ..facts(answer) },
        Err(_) => SakerNodeStatus { conditions, ..old },
    }
}

fn facts(answer: &AgentStatus) -> SakerNodeStatus {
    let AgentStatus { bundle, version, rules, sources, .. } = answer;
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let lost = sources.values().fold(0_u64, |all, source| all.saturating_add(source.lost));
    let refused = rules.reasons.iter().take(MAX_REFUSED);
    SakerNodeStatus {
        bundle: bundle.as_deref().map(|hash| short(hash).to_owned()),
        bundle_hash: bundle.clone(),
        rules: RuleCounts {
            loaded: count(rules.loaded),
            rejected: count(rules.rejected),
            blind: count(rules.blind),
        },
        refused: refused.map(|rejected| cut(rejected.reason.clone(), MAX_SAID)).collect(),
        lost: i64::try_from(lost).unwrap_or(i64::MAX),
        version: Some(version.clone()).filter(|version| !version.is_empty()),
        ..SakerNodeStatus::default()
    }
}

fn answering(report: &Report) -> Said {
    match &report.answer {
        Ok(_) => ("True", "Answers", "the agent answers".to_owned()),
        Err(reason) => ("False", "Silent", cut(reason.clone(), MAX_SAID)),
    }
}

fn current(report: &Report, rollout: &Rollout) -> Said {
    match &report.answer {
        Err(_) => ("Unknown", "Silent", "the agent does not answer".to_owned()),
        Ok(_) if rollout.is_current(report) => {
            ("True", "Current", "it runs the bundle in the cluster".to_owned())
        }
        Ok(answer) => match &answer.rules.last_error {
            Some(error) => ("False", "Refused", cut(error.clone(), MAX_SAID)),
            None => ("False", "Waiting", "the bundle in the cluster is on its way".to_owned()),
        },
    }
}

fn seeing(report: &Report) -> Said {
    let Ok(answer) = &report.answer else {
        return ("Unknown", "Silent", "the agent does not answer".to_owned());
    };
    let failed = answer.sources.iter().find(|(_, source)| source.state == "failed");
    let running = answer.sources.iter().filter(|(_, source)| source.state == "running");
    if let Some((name, source)) = failed {
        let reason = source.reason.as_deref().unwrap_or("no reason is known");
        return ("False", "SourceFailed", cut(format!("{name}: {reason}"), MAX_SAID));
    }
    let running: Vec<_> = running.map(|(name, _)| name.as_str()).collect();
    ("True", "Running", format!("events come from {}", running.join(" and ")))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{rollout::Labels, shipped::Shipped};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        /// What the agent says; nothing if it is silent.
        agent: Option<AgentStatus>,
        /// The status of each condition, and a part of its message.
        conditions: Vec<(String, String)>,
        /// The status without its conditions.
        status: SakerNodeStatus,
    }

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn agents_make_the_status_of_their_node() {
        let cases: Vec<Case> =
            serde_saphyr::from_str(include_str!("../../tests/cases/saker_node.yaml")).unwrap();
        assert!(!cases.is_empty());
        let labels = Labels::new();
        for Case { name, agent, conditions, status: expected } in cases {
            let report =
                Report { node: "n".to_owned(), answer: agent.ok_or("connection refused".to_owned()) };
            let rollout = Rollout {
                hash: "h2345678rest",
                reports: &[],
                labels: &labels,
                shipped: &Shipped::default(),
                now: at(5),
            };
            let first = status(&report, &rollout, None);
            for ((status, part), found) in conditions.iter().zip(&first.conditions) {
                assert!(found.status == *status && found.message.contains(part), "{name}: {found:?}");
            }
            assert_eq!(SakerNodeStatus { conditions: Vec::new(), ..first.clone() }, expected, "{name}");
            let later = Rollout { now: at(9), ..rollout };
            assert_eq!(status(&report, &later, Some(&first)), first, "{name}: the same again");
        }
    }

    #[test]
    fn a_silent_agent_leaves_what_was_known() {
        let labels = Labels::new();
        let rollout =
            Rollout { hash: "h", reports: &[], labels: &labels, shipped: &Shipped::default(), now: at(5) };
        let answer = AgentStatus { version: "1".to_owned(), ..AgentStatus::default() };
        let report = Report { node: "n".to_owned(), answer: Ok(answer) };
        let before = status(&report, &rollout, None);
        let silent = Report { answer: Err("gone".to_owned()), ..report };
        let after = status(&silent, &rollout, Some(&before));
        assert_eq!((after.version.as_deref(), after.conditions[0].status.as_str()), (Some("1"), "False"));
    }
}
