//! `saker rules test`: the cases beside rules, run by the live engine.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use saker_engine::case::{self, Case, Suite};
use saker_events::load_options;

use crate::{Verdict, input, junit, report::Report};

/// Run the test cases of rules: compact events in, expected alerts out
///
/// A file of cases is a YAML list. One item `- rules_files: [FILE, …]` names the rules, relative to the file; each
/// other item is a case with `rule`, `name`, `events` and `expect`. Every case must hold, or the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also write a report in JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Files of test cases
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let reports: Vec<_> = self.files.iter().map(|file| run(file)).collect::<Result<_, _>>()?;
        for report in &reports {
            report.print(out)?;
        }
        let all: Vec<_> = reports.iter().flat_map(|report| &report.cases).collect();
        let failed = all.iter().filter(|(_, wrong)| !wrong.is_empty()).count();
        writeln!(out, "{} of {} cases hold", all.len() - failed, all.len())?;
        if let Some(path) = self.junit {
            fs::write(&path, junit::xml(&reports))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Verdict::of(failed == 0))
    }
}

fn run(file: &Path) -> anyhow::Result<Report> {
    let name = file.display().to_string();
    let suite =
        Suite::parse(&input::text(file)?).with_context(|| format!("{name} is no list of test cases"))?;
    anyhow::ensure!(
        !suite.cases.is_empty(),
        "{name} has no case: add one with `rule`, `name`, `events` and `expect`"
    );
    let beside = file.parent().unwrap_or(Path::new(""));
    let rules_files: Vec<_> = suite.rules_files.iter().map(|path| beside.join(path)).collect();
    let (_, rules) = input::rules(&rules_files, &load_options())?;
    let judge = |case: Case| {
        let wrong = match case::run(&case, &rules) {
            Ok(mismatches) => mismatches.iter().map(ToString::to_string).collect(),
            Err(reason) => vec![reason],
        };
        (case, wrong)
    };
    Ok(Report { file: name, cases: suite.cases.into_iter().map(judge).collect() })
}
