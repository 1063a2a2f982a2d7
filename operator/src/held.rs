//! When a status is written. What somebody waits for is written at once. What only counts nodes waits until it lasts:
//! 500 nodes that come one by one, or one that comes and goes, must not rewrite every object each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use saker_crds::{
    FalcoRuleStatus,
    status::{Nodes, condition},
};
use tokio::time::Instant;

use crate::falco_rule::resource::Resource;

/// How long other nodes must be so before they are written.
const LASTS: Duration = Duration::from_mins(1);
/// After so long a node that takes a bundle over is gone.
const FORGOTTEN: Duration = Duration::from_mins(10);
/// How long no further node must have come for a rollout to have got as far as it gets.
const STEADY: Duration = Duration::from_secs(5);

/// Objects by the name of their file.
#[derive(Debug, Default)]
pub struct Held {
    /// Statuses that are not what they should be.
    differs: BTreeMap<String, Differs>,
    /// Statuses with a verdict, but not yet how far their rollout got.
    fresh: BTreeSet<String>,
    /// Nodes that take a bundle over, since when.
    under_way: BTreeMap<String, Instant>,
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

impl Held {
    /// Whether to write now.
    pub(crate) fn is_due(
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
            // Once all nodes have it, its rollout is over.
            if is_loaded(new) {
                self.fresh.remove(file)
            } else {
                self.fresh.insert(file.to_owned())
            };
            return true;
        }
        let first = || Differs { since: now, nodes: new.nodes.clone(), steady: now };
        let differs = self.differs.entry(file.to_owned()).or_insert_with(first);
        if differs.nodes != new.nodes {
            (differs.nodes, differs.steady) = (new.nodes.clone(), now);
        }
        let lasts = |since, limit| now.saturating_duration_since(since) >= limit;
        lasts(differs.since, LASTS) || lasts(differs.steady, STEADY) && self.fresh.remove(file)
    }

    /// Whether something is over, or goes on for so long that it is worth a word.
    pub(crate) fn lasts(&mut self, id: &str, goes_on: bool, now: Instant) -> bool {
        if !goes_on {
            self.under_way.remove(id);
            return true;
        }
        let since = *self.under_way.entry(id.to_owned()).or_insert(now);
        now.saturating_duration_since(since) >= LASTS
    }

    /// Takes note of a write.
    pub(crate) fn wrote(&mut self, file: &str, version: Option<&str>, status: Option<FalcoRuleStatus>) {
        self.differs.remove(file);
        if let Some((version, status)) = version.and_then(|v| v.parse().ok()).zip(status) {
            self.written.insert(file.to_owned(), (version, status));
        }
    }

    /// Gives objects the status that was written last, where the watch has not brought it yet, and forgets the objects
    /// that are gone.
    pub(crate) fn catch_up(&mut self, resources: &mut [Resource]) {
        self.under_way.retain(|_, since| since.elapsed() < FORGOTTEN);
        let (mut differs, mut written, mut fresh) = (
            std::mem::take(&mut self.differs),
            std::mem::take(&mut self.written),
            std::mem::take(&mut self.fresh),
        );
        for resource in resources {
            let file = resource.file();
            if let Some(since) = differs.remove(&file) {
                self.differs.insert(file.clone(), since);
            }
            self.fresh.extend(fresh.take(&file));
            let seen = resource.metadata().resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
            let ahead = written.remove(&file).filter(|(version, _)| seen.is_some_and(|seen| seen < *version));
            if let Some((version, status)) = ahead {
                resource.set_status(Some(status.clone()));
                self.written.insert(file, (version, status));
            }
        }
    }
}

fn is_loaded(status: &FalcoRuleStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == condition::LOADED && condition.status == "True")
}

/// Whether a status says the same; the bundle changes with every rule of anybody, and alone is worth no write.
fn same(old: &FalcoRuleStatus, new: &FalcoRuleStatus) -> bool {
    *old == FalcoRuleStatus { bundle_hash: old.bundle_hash.clone(), ..new.clone() }
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
    let shown = |status: &FalcoRuleStatus| (status.observed_generation, status.scope, status.source.clone());
    changed || shown(old) != shown(new) || old.priority != new.priority
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use saker_crds::{FalcoRule, FalcoRuleSpec};
    use serde_json::json;

    use super::*;

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
            let mut held = Held::default();
            assert_eq!(held.is_due("f", old, new, start), at_once, "{what}");
            assert!(at_once || !held.is_due("f", old, new, start + LASTS / 2), "{what}");
            assert_eq!(held.is_due("f", old, new, start + LASTS), later, "{what}, and lasts");
        }
    }

    #[test]
    fn a_rollout_that_gets_no_further_is_told_soon() {
        let told = status("True", "False", 0);
        let (mut held, start) = (Held::default(), Instant::now());
        assert!(held.is_due("f", None, &told, start), "the verdict");
        for second in 0..10_u16 {
            let now = start + Duration::from_secs(second.into());
            assert!(!held.is_due("f", Some(&told), &status("True", "False", i32::from(second) + 1), now));
        }
        let (stuck, last) = (status("True", "False", 499), start + Duration::from_secs(10));
        assert!(!held.is_due("f", Some(&told), &stuck, last));
        assert!(held.is_due("f", Some(&told), &stuck, last + STEADY));
        held.wrote("f", None, None);
        assert!(!held.is_due("f", Some(&stuck), &told, last + STEADY));
        assert!(!held.is_due("f", Some(&stuck), &told, last + STEADY * 2), "that is no rollout any more");
    }

    #[test]
    fn a_node_that_comes_and_goes_is_not_written() {
        let (told, there, gone) =
            (status("True", "False", 0), status("True", "True", 500), status("True", "False", 499));
        let (mut held, start) = (Held::default(), Instant::now());
        assert!(held.is_due("f", None, &told, start) && held.is_due("f", Some(&told), &there, start));
        for minute in 0..60 {
            let now = start + LASTS * minute;
            assert!(!held.is_due("f", Some(&there), &gone, now), "minute {minute}");
            assert!(!held.is_due("f", Some(&there), &gone, now + STEADY * 2), "minute {minute}");
            assert!(!held.is_due("f", Some(&there), &there, now + LASTS / 2), "minute {minute}");
        }
    }

    #[test]
    fn what_was_written_counts_before_the_watch_brings_it() {
        let resource = |version: &str| {
            let mut rule = FalcoRule::new("x", FalcoRuleSpec::default());
            rule.metadata.resource_version = Some(version.to_owned());
            Resource::Rule(Arc::new(rule))
        };
        let mut held = Held::default();
        let file = resource("1").file();
        held.wrote(&file, Some("7"), Some(status("True", "True", 1)));
        for (seen, expected) in [("6", Some(1)), ("7", None), ("6", None)] {
            let mut resources = [resource(seen)];
            held.catch_up(&mut resources);
            let nodes = resources[0].status().and_then(|status| status.nodes.clone());
            assert_eq!(nodes.map(|nodes| nodes.loaded), expected, "at version {seen}");
        }
        held.wrote(&file, Some("9"), Some(status("True", "True", 1)));
        held.catch_up(&mut []);
        assert!(held.written.is_empty(), "it was deleted");
    }
}
