//! Upstream's rules files.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use saker_rules::load::SourceFile;

/// The stable rules first; the last is on audit events.
const NAMES: [&str; 4] =
    ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"];

/// The first `count` of them, read from `folder`.
pub fn files(folder: &Path, count: usize) -> Result<Vec<SourceFile>> {
    NAMES.iter().take(count).map(|name| read(folder, name)).collect()
}

fn read(folder: &Path, name: &str) -> Result<SourceFile> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(SourceFile::new(name, text))
}
