//! `saker audit policy`: the audit policy that the rules need, and what another policy leaves them blind to.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use saker_audit_setup::{AuditRule, Gap, Unseen, check, derive, policy::Policy};
use saker_events::load_options;

use crate::{Verdict, input};

/// Requests that are named of those that a rule does not see.
const SHOWN: usize = 5;

/// Print the smallest audit policy that lets the rules see what they are about, or check another policy
///
/// Each line says which rules want it and for which fields. With --check, the exit code is 1 if the policy leaves a
/// rule blind; the rule is named with the lines that would do, to be put first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rules files in their order, instead of the default rules
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Check this policy instead of printing one
    #[arg(long, value_name = "POLICY")]
    check: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let loaded = input::load_good_or_default(&self.rules, &load_options())?;
        let rules = AuditRule::all(&loaded);
        if rules.is_empty() {
            bail!("none of the rules is about audit events (source: k8s_audit): no policy is needed");
        }
        let Some(path) = &self.check else {
            write!(out, "{}", derive(&rules))?;
            return Ok(Verdict::Good);
        };
        let policy = Policy::parse(&input::text(path)?).with_context(|| path.display().to_string())?;
        let gaps = check(&policy, &rules);
        report(&path.display().to_string(), &gaps, out)?;
        let blind = gaps.iter().filter(|gap| gap.blind).count();
        writeln!(out, "{} rules about audit events, {blind} of them blind", rules.len())?;
        Ok(Verdict::of(blind == 0))
    }
}

fn report(policy: &str, gaps: &[Gap], out: &mut dyn Write) -> anyhow::Result<()> {
    for gap in gaps {
        writeln!(out, "{}: {}, needs level {}", gap.rule, verdict(gap), gap.needs)?;
        for unseen in &gap.unseen {
            writeln!(out, "  {policy}{}: {}", place(unseen), requests(unseen))?;
        }
        writeln!(out, "  put first among the rules of the policy:")?;
        gap.fix.iter().try_for_each(|line| write!(out, "{}", line.rule))?;
        writeln!(out)?;
    }
    Ok(())
}

fn verdict(gap: &Gap) -> &'static str {
    match (gap.blind, gap.wholly) {
        (true, true) => "blind",
        (true, false) => "blind in part",
        (false, _) => "its alerts lack something",
    }
}

fn place(unseen: &Unseen) -> String {
    if unseen.line == 0 {
        ": no rule matches".to_owned()
    } else {
        format!(":{}: level {}", unseen.line, unseen.level)
    }
}

fn requests(unseen: &Unseen) -> String {
    let shown: Vec<_> = unseen.requests.iter().take(SHOWN).map(String::as_str).collect();
    let more = unseen.requests.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
