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
        let checks = preflight::checks();
        let rows: Vec<_> = checks.iter().map(row).collect();
        table::write(out, &rows)?;
        for check in checks.iter().filter(|check| !check.ok) {
            writeln!(out, "\n{}: {}", check.name, check.advice)?;
        }
        let able = !checks.iter().any(Check::failed);
        writeln!(out, "\n{}", if able { "saker-agent can run here" } else { "saker-agent cannot run here" })?;
        Ok(Verdict::of(able))
    }
}

fn row(check: &Check) -> [String; 3] {
    let state = match (check.ok, check.required) {
        (true, _) => "ok",
        (false, true) => "missing",
        (false, false) => "better with",
    };
    [state.to_owned(), check.name.to_owned(), check.found.clone()]
}
