//! The default rules, as text inside the programs: agent and operator work alone and agree.

/// Name and text of each file, in the order of loading.
pub const DEFAULT: [(&str, &str); 2] = [
    ("saker_syscall_rules.yaml", include_str!("../saker_syscall_rules.yaml")),
    ("saker_audit_rules.yaml", include_str!("../saker_audit_rules.yaml")),
];
