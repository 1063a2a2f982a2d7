//! `saker doctor`: could the agent run here?

use std::io::Write;

use saker_source_syscall::preflight::{self, Check};

use crate::{Verdict, table};

/// Say what this kernel and machine offer, what is missing and what to do
///
/// The exit code is 1 if the agent could not watch system calls here.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let Self {} = self;
        let checks = preflight::environment();
        let rows: Vec<_> = checks.iter().map(row).collect();
        table::write(out, &rows)?;
        let missing: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
        for check in &missing {
            writeln!(out, "\n{}: {}", check.name, check.advice)?;
        }
        Ok(Verdict::of(missing.is_empty()))
    }
}

fn row(check: &Check) -> [String; 3] {
    let state = if check.ok { "ok" } else { "MISSING" };
    [state.to_owned(), check.name.to_owned(), check.found.clone()]
}
