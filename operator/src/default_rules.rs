//! The rules that every FalcoRule is checked with, and that travel with them: the same as in the agents.

use saker_events::schema;
use saker_rules::load::{LoadOptions, SourceFile};

use crate::falco_rule::Compiler;

/// Part of the program, so that operator and rules cannot be of different versions.
const DEFAULT_RULES: [(&str, &str); 2] = [
    ("saker_syscall_rules.yaml", include_str!("../../rulesets/saker_syscall_rules.yaml")),
    ("saker_audit_rules.yaml", include_str!("../../rulesets/saker_audit_rules.yaml")),
];

/// What stands in for Falco's plugins in the agents, for `required_plugin_versions`.
const PLUGINS: [(&str, (u32, u32, u32)); 3] =
    [("k8saudit", (0, 18, 0)), ("json", (0, 7, 3)), ("container", (0, 6, 4))];

/// Compiles FalcoRules as the agents will.
pub fn compiler() -> Compiler {
    let plugins = PLUGINS.map(|(name, version)| (name.to_owned(), version)).into();
    let options = LoadOptions { plugins, ..LoadOptions::new(schema()) };
    Compiler::new(DEFAULT_RULES.map(|(name, text)| SourceFile::new(name, text)).into(), options)
}
