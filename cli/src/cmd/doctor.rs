//! `saker doctor`: could the agent run here? Does that one do its work?

mod agent;

use std::{io::Write, path::PathBuf};

use saker_source_syscall::preflight;

use crate::{Verdict, table};

/// Say what this kernel and machine offer, or how an agent does, what is missing and what to do
///
/// The exit code is 1 if the agent could not watch system calls here, or if the one of --agent does not do its work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Examine the agent at this address instead, for example http://127.0.0.1:8765
    #[arg(long, value_name = "URL")]
    agent: Option<String>,

    /// Have it raise an alert of this rule, and wait until it did
    #[arg(long, value_name = "RULE", requires_all = ["agent", "by_writing"])]
    raise: Option<String>,

    /// What the rule is about: this file is written, once a second, and removed in the end
    #[arg(long, value_name = "FILE", requires = "raise")]
    by_writing: Option<PathBuf>,
}

/// One finding.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    name: String,
    ok: bool,
    /// Whether the agent cannot do its work without.
    required: bool,
    found: String,
    advice: String,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let Some(url) = &self.agent else {
            let findings: Vec<_> = preflight::checks().into_iter().map(Finding::from).collect();
            return report(out, &findings, ["saker-agent can run here", "saker-agent cannot run here"]);
        };
        let mut findings = agent::examine(url)?;
        if let (Some(rule), Some(file)) = (&self.raise, &self.by_writing) {
            findings.push(agent::raise(url, rule, file)?);
        }
        report(out, &findings, ["the agent does its work", "the agent does not do its work"])
    }
}

impl From<preflight::Check> for Finding {
    fn from(check: preflight::Check) -> Self {
        let preflight::Check { name, ok, required, found, advice } = check;
        Self { name: name.to_owned(), ok, required, found, advice: advice.to_owned() }
    }
}

/// A table, the advice, and the last word.
fn report(out: &mut dyn Write, findings: &[Finding], [good, bad]: [&str; 2]) -> anyhow::Result<Verdict> {
    let rows: Vec<_> = findings.iter().map(row).collect();
    table::write(out, &rows)?;
    for finding in findings.iter().filter(|finding| !finding.ok) {
        writeln!(out, "\n{}: {}", finding.name, finding.advice)?;
    }
    let able = !findings.iter().any(|finding| finding.required && !finding.ok);
    writeln!(out, "\n{}", if able { good } else { bad })?;
    Ok(Verdict::of(able))
}

fn row(finding: &Finding) -> [String; 3] {
    let state = match (finding.ok, finding.required) {
        (true, _) => "ok",
        (false, true) => "missing",
        (false, false) => "better with",
    };
    [state.to_owned(), finding.name.clone(), finding.found.clone()]
}
