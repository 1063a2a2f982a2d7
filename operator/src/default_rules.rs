//! The rules that every FalcoRule is checked with, and that travel with them: the same as in the agents.

use saker_events::load_options;
use saker_rules::load::SourceFile;

use crate::{falco_rule::Compiler, tenancy::Tenancy};

/// Compiles FalcoRules as the agents will.
pub fn compiler(tenancy: Tenancy) -> Compiler {
    let defaults = saker_rulesets::DEFAULT.map(|(name, text)| SourceFile::new(name, text));
    Compiler::new(defaults.into(), load_options(), tenancy)
}
