//! When a status is written. What somebody waits for is written at once. What only counts nodes waits until it lasts:
//! 500 nodes that come one by one, or one that comes and goes, must not rewrite every object each time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use saker_crds::{
    FalcoRuleStatus,
    status::{Nodes, condition},
};

use super::super::{Resource, update_status::ON_ITS_WAY};

/// How long other nodes must be so before they are written.
const LASTS: Duration = Duration::from_mins(1);
/// How long no further node must have come for a rollout to have got as far as it gets.
const STEADY: Duration = Duration::from_secs(5);

/// Objects by the name of their file.
#[derive(Debug, Default)]
pub(in super::super) struct Pace {
    /// Statuses that are not what they should be.
    differs: BTreeMap<String, Differs>,
    /// What was written and not seen by the watch yet, with its version.
    written: BTreeMap<String, (u64, FalcoRuleStatus)>,
}

/// A status that is to be written when that lasts.
#[derive(Debug)]
struct Differs {
    since: Instant,
    nodes: Option<Nodes>,
    /// Since when the nodes are so.
    steady: Instant,
}

impl Pace {
    /// Whether to write now.
    pub(in super::super) fn is_due(
        &mut self,
        file: &str,
        old: Option<&FalcoRuleStatus>,
        new: &FalcoRuleStatus,
        now: Instant,
    ) -> bool {
        if old.is_some_and(|old| same(old, new)) {
            self.differs.remove(file);
            return false;
        }
        if is_news(old, new) {
            return true;
        }
        let first = || Differs { since: now, nodes: new.nodes.clone(), steady: now };
        let differs = self.differs.entry(file.to_owned()).or_insert_with(first);
        if differs.nodes != new.nodes {
            (differs.nodes, differs.steady) = (new.nodes.clone(), now);
        }
        let lasts = |since, limit| now.saturating_duration_since(since) >= limit;
        lasts(differs.since, LASTS) || is_on_its_way(old) && lasts(differs.steady, STEADY)
    }

    /// Takes note of a write.
    pub(in super::super) fn wrote(
        &mut self,
        file: &str,
        version: Option<&str>,
        status: Option<FalcoRuleStatus>,
    ) {
        self.differs.remove(file);
        if let Some((version, status)) = version.and_then(|v| v.parse().ok()).zip(status) {
            self.written.insert(file.to_owned(), (version, status));
        }
    }

    /// Gives objects the status that was written last, where the watch has not brought it yet, and forgets the objects
    /// that are gone.
    pub(in super::super) fn catch_up(&mut self, resources: &mut [Resource]) {
        let (mut differs, mut written) =
            (std::mem::take(&mut self.differs), std::mem::take(&mut self.written));
        for resource in resources {
            let file = resource.file();
            if let Some(since) = differs.remove(&file) {
                self.differs.insert(file.clone(), since);
            }
            let seen = resource.metadata().resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
            let ahead = written.remove(&file).filter(|(version, _)| seen.is_some_and(|seen| seen < *version));
            if let Some((version, status)) = ahead {
                resource.set_status(Some(status.clone()));
                self.written.insert(file, (version, status));
            }
        }
    }
}

/// Whether the nodes were only just told of this generation.
fn is_on_its_way(old: Option<&FalcoRuleStatus>) -> bool {
    let mut conditions = old.into_iter().flat_map(|old| &old.conditions);
    conditions.any(|condition| condition.type_ == condition::LOADED && condition.reason == ON_ITS_WAY)
}

/// Whether a status says the same; the bundle changes with every rule of anybody, and alone is worth no write.
fn same(old: &FalcoRuleStatus, new: &FalcoRuleStatus) -> bool {
    old.observed_generation == new.observed_generation
        && old.conditions == new.conditions
        && old.nodes == new.nodes
}

/// Whether somebody waits for it: the verdict on a new generation, or the word that all nodes have it.
fn is_news(old: Option<&FalcoRuleStatus>, new: &FalcoRuleStatus) -> bool {
    let Some(old) = old else { return true };
    let changed = new.conditions.iter().any(|condition| {
        let before = old.conditions.iter().find(|before| before.type_ == condition.type_);
        let told = before.map(|b| (&b.status, &b.reason, &b.message));
        if condition.type_ == condition::LOADED {
            condition.status == "True" && told.is_none_or(|(status, ..)| status != "True")
        } else {
            told != Some((&condition.status, &condition.reason, &condition.message))
        }
    });
    changed || old.observed_generation != new.observed_generation
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use saker_crds::FalcoRuleSpec;
    use serde_json::json;

    use super::*;
    use crate::falco_rule::validate::tests::rule;

    /// Accepted and Loaded as given, on so many nodes.
    fn status(accepted: &str, loaded: &str, nodes: i32) -> FalcoRuleStatus {
        let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "r", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions = json!([condition("Accepted", accepted), condition("Loaded", loaded)]);
        FalcoRuleStatus {
            conditions: serde_json::from_value(conditions).unwrap(),
            nodes: Some(Nodes { loaded: nodes, desired: 500, ..Nodes::default() }),
            ..FalcoRuleStatus::default()
        }
    }

    #[test]
    fn what_people_wait_for_is_written_at_once_and_counts_when_they_last() {
        let all = status("True", "True", 500);
        let newer = FalcoRuleStatus { observed_generation: Some(2), ..all.clone() };
        let other_bundle = FalcoRuleStatus { bundle_hash: Some("h".to_owned()), ..all.clone() };
        let table = [
            ("it is new", None, &all, true, true),
            ("nothing changed", Some(&all), &all, false, false),
            ("another bundle", Some(&all), &other_bundle, false, false),
            ("a new generation", Some(&all), &newer, true, true),
            ("it is rejected", Some(&all), &status("False", "True", 500), true, true),
            ("the last node has it", Some(&status("True", "False", 499)), &all, true, true),
            ("a node went away", Some(&all), &status("True", "False", 499), false, true),
            (
                "one more is there",
                Some(&status("True", "False", 1)),
                &status("True", "False", 2),
                false,
                true,
            ),
            ("the fleet grew", Some(&status("True", "True", 499)), &all, false, true),
        ];
        let start = Instant::now();
        for (what, old, new, at_once, later) in table {
            let mut pace = Pace::default();
            assert_eq!(pace.is_due("f", old, new, start), at_once, "{what}");
            assert!(at_once || !pace.is_due("f", old, new, start + LASTS / 2), "{what}");
            assert_eq!(pace.is_due("f", old, new, start + LASTS), later, "{what}, and lasts");
        }
    }

    #[test]
    fn a_rollout_that_gets_no_further_is_told_soon() {
        let mut told = status("True", "False", 0);
        told.conditions[1].reason = ON_ITS_WAY.to_owned();
        let (mut pace, start) = (Pace::default(), Instant::now());
        for second in 0..10_u16 {
            let now = start + Duration::from_secs(second.into());
            assert!(!pace.is_due("f", Some(&told), &status("True", "False", i32::from(second) + 1), now));
        }
        let stuck = status("True", "False", 499);
        let last = start + Duration::from_secs(10);
        assert!(!pace.is_due("f", Some(&told), &stuck, last));
        assert!(pace.is_due("f", Some(&told), &stuck, last + STEADY));
        assert!(!pace.is_due("g", Some(&stuck), &told, last + STEADY), "that is no rollout");
    }

    #[test]
    fn a_node_that_comes_and_goes_is_not_written() {
        let (there, gone) = (status("True", "True", 500), status("True", "False", 499));
        let (mut pace, start) = (Pace::default(), Instant::now());
        for minute in 0..60 {
            let now = start + LASTS * minute;
            assert!(!pace.is_due("f", Some(&there), &gone, now), "minute {minute}");
            assert!(!pace.is_due("f", Some(&there), &there, now + LASTS / 2), "minute {minute}");
        }
    }

    #[test]
    fn what_was_written_counts_before_the_watch_brings_it() {
        let resource = |version: &str| {
            let mut rule = rule("a/x", FalcoRuleSpec::default());
            rule.metadata.resource_version = Some(version.to_owned());
            Resource::Rule(Arc::new(rule))
        };
        let mut pace = Pace::default();
        let file = resource("1").file();
        pace.wrote(&file, Some("7"), Some(status("True", "True", 1)));
        for (seen, expected) in [("6", Some(1)), ("7", None), ("6", None)] {
            let mut resources = [resource(seen)];
            pace.catch_up(&mut resources);
            let nodes = resources[0].status().and_then(|status| status.nodes.clone());
            assert_eq!(nodes.map(|nodes| nodes.loaded), expected, "at version {seen}");
        }
        pace.wrote(&file, Some("9"), Some(status("True", "True", 1)));
        pace.catch_up(&mut []);
        assert!(pace.written.is_empty(), "it was deleted");
    }
}
