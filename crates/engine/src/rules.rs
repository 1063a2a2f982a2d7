//! The rules in force, replaced as a whole while events flow.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache, Guard};
use saker_rules::ruleset::RuleSet;

/// Shared by all engines of a program; clones replace the same rules.
#[derive(Debug, Clone)]
pub struct RulesHandle(Arc<ArcSwap<RuleSet>>);

impl RulesHandle {
    /// A handle on these rules.
    pub fn new(rules: impl Into<Arc<RuleSet>>) -> Self {
        Self(Arc::new(ArcSwap::new(rules.into())))
    }

    /// Puts other rules in force. Every event is evaluated against the old rules or the new, never both.
    pub fn swap(&self, rules: impl Into<Arc<RuleSet>>) {
        self.0.store(rules.into());
    }

    /// The rules in force now.
    pub fn load(&self) -> Guard<Arc<RuleSet>> {
        self.0.load()
    }

    /// A reader that looks for other rules at each event at next to no cost.
    pub(crate) fn reader(&self) -> RulesReader {
        RulesReader(Cache::new(Arc::clone(&self.0)))
    }
}

/// What one engine evaluates.
pub(crate) struct RulesReader(Cache<Arc<ArcSwap<RuleSet>>, Arc<RuleSet>>);

impl RulesReader {
    /// The rules in force now.
    pub(crate) fn load(&mut self) -> &Arc<RuleSet> {
        self.0.load()
    }
}

impl std::fmt::Debug for RulesReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RulesReader").finish_non_exhaustive()
    }
}
