//! How often each rule matched, for metrics and for whoever asks whether a rule does anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use saker_rules::ruleset::RuleSet;

/// Rules counted; matches of further ones are counted together in [`Hits::uncounted`].
pub const MAX_NAMES: usize = 65_536;

/// Matches by the rule's file and name. A count outlives a swap of the rules: a rule that stays, or returns, goes on
/// counting.
#[derive(Debug, Default)]
pub struct Hits(Mutex<Counts>);

/// Matches of a rule, or of all rules of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many.
    pub matches: u64,
    /// Time of the last event that matched, nanoseconds since the Unix epoch.
    pub last: u64,
}

#[derive(Debug, Default)]
struct Counts {
    by_file: BTreeMap<Arc<str>, BTreeMap<String, Count>>,
    rules: usize,
    uncounted: u64,
}

impl Hits {
    /// Counts one match.
    pub fn add(&self, file: &Arc<str>, rule: &str, time: u64) {
        let mut counts = self.lock();
        if let Some(count) = counts.by_file.get_mut(file).and_then(|rules| rules.get_mut(rule)) {
            *count = count.and(Count { matches: 1, last: time });
        } else if counts.rules < MAX_NAMES {
            counts.rules = counts.rules.saturating_add(1);
            let rules = counts.by_file.entry(Arc::clone(file)).or_default();
            rules.insert(rule.to_owned(), Count { matches: 1, last: time });
        } else {
            counts.uncounted = counts.uncounted.saturating_add(1);
        }
    }

    /// Every rule of the set with its matches, 0 included, in the order of the rules.
    pub fn of(&self, rules: &RuleSet) -> Vec<(String, u64)> {
        let counts = self.lock();
        let count = |file: &Arc<str>, name: &str| {
            counts.by_file.get(file).and_then(|rules| rules.get(name)).map_or(0, |count| count.matches)
        };
        rules.rules().iter().map(|r| (r.info.name.clone(), count(&r.info.file, &r.info.name))).collect()
    }

    /// Matches of one rule.
    pub fn matches(&self, file: &str, rule: &str) -> u64 {
        let counts = self.lock();
        counts.by_file.get(file).and_then(|rules| rules.get(rule)).map_or(0, |count| count.matches)
    }

    /// Every file of which a rule matched.
    pub fn files(&self) -> Vec<(Arc<str>, Count)> {
        let sum = |rules: &BTreeMap<String, Count>| {
            rules.values().fold(Count::default(), |all, more| all.and(*more))
        };
        self.lock().by_file.iter().map(|(file, rules)| (Arc::clone(file), sum(rules))).collect()
    }

    /// Matches of rules beyond [`MAX_NAMES`].
    pub fn uncounted(&self) -> u64 {
        self.lock().uncounted
    }

    /// Counts are whole numbers: a panic elsewhere leaves them as they are.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self { matches: self.matches.saturating_add(more.matches), last: self.last.max(more.last) }
    }
}
