//! What the kernel and the process offer the probe.

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as the probe needs it.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do if it is not.
    pub advice: &'static str,
}

/// What to do about the checks that failed, as one text.
pub fn advice(checks: &[Check]) -> String {
    let lines: Vec<_> = checks.iter().filter(|c| !c.ok).map(|c| format!("{}: {}; {}", c.name, c.found, c.advice)).collect();
    lines.join(". ")
}

/// Looks without loading anything.
pub fn environment() -> Vec<Check> {
    Vec::new()
}
