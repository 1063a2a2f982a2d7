//! `saker rules fmt`: rules files in one layout.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use saker_rules::fmt;

use crate::{Verdict, input, say};

/// Format rules files: indentation, order of keys, a blank line between items
///
/// What the files mean and their comments stay. A file for which that cannot be promised is left alone, with the
/// place and the reason; then the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing; name the files that would change, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
    /// Rules files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What became of one file.
enum Outcome {
    Same,
    Changed,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let mut good = true;
        for path in &self.files {
            match self.file(path) {
                Ok(Outcome::Same) => {}
                Ok(Outcome::Changed) if self.check => {
                    good = false;
                    writeln!(out, "{} would change", path.display())?;
                }
                Ok(Outcome::Changed) => writeln!(out, "{} formatted", path.display())?,
                Err(error) => {
                    good = false;
                    say(&format!("error: {error:#}"));
                }
            }
        }
        Ok(Verdict::of(good))
    }

    fn file(&self, path: &Path) -> anyhow::Result<Outcome> {
        let text = input::rules_text(path)?;
        let formatted = match fmt::format(&text) {
            Ok(formatted) => formatted,
            Err(fmt::Refused { line, column, reason }) => {
                bail!("{}:{line}:{column}: {reason}; the file is left as it is", path.display())
            }
        };
        if formatted == text {
            return Ok(Outcome::Same);
        }
        if !self.check {
            replace(path, &formatted).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Outcome::Changed)
    }
}

/// Whoever reads the file meanwhile sees the old or the new one, never a half.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // A link stays a link.
    let path = path.canonicalize()?;
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(path.metadata()?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}
