//! How often each rule matched, for metrics.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use saker_rules::ruleset::RuleSet;

/// Rule names counted; matches of further ones are counted together in [`Hits::uncounted`].
pub const MAX_NAMES: usize = 65_536;

/// Matches by rule name. A count outlives a swap of the rules: a rule that stays, or returns, goes on counting.
#[derive(Debug, Default)]
pub struct Hits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_rule: BTreeMap<String, u64>,
    uncounted: u64,
}

impl Hits {
    /// Counts one match.
    pub fn add(&self, rule: &str) {
        let mut counts = self.lock();
        if let Some(count) = counts.by_rule.get_mut(rule) {
            *count = count.saturating_add(1);
        } else if counts.by_rule.len() < MAX_NAMES {
            counts.by_rule.insert(rule.to_owned(), 1);
        } else {
            counts.uncounted = counts.uncounted.saturating_add(1);
        }
    }

    /// Every rule of the set with its matches, 0 included, in the order of the rules.
    pub fn of(&self, rules: &RuleSet) -> Vec<(String, u64)> {
        let counts = self.lock();
        let count = |name: &str| counts.by_rule.get(name).copied().unwrap_or(0);
        rules.rules().iter().map(|r| (r.info.name.clone(), count(&r.info.name))).collect()
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
