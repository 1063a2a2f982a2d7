//! The rules in force, replaced as a whole while events flow.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
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
}
