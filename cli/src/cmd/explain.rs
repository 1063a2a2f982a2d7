//! `saker rules explain`: what a rule is, reads, costs, and which other rules take its events.

use std::{io::Write, path::PathBuf};

use anyhow::anyhow;
use saker_events::{load_options, table};
use saker_rules::{
    explain::{Events, Explanation, Relation, explain},
    load::Loaded,
    suggest,
};
use serde_json::{Value, json};

use crate::{Verdict, input};

/// Explain rules: what they are after expansion, on what they run, what they read and cost, what they overlap with
///
/// Every rule of the files is explained, or the one that is named: after --rule, or as last argument if no file is
/// called so. The other rules of the files are those that it may overlap with, as the first of several matching
/// rules takes the event.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Only the rule of this name
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Rules files in their order, and the name of a rule
    #[arg(required = true, value_name = "FILE|NAME")]
    files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn run(mut self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        self.take_name();
        let loaded = input::load_good(&self.files, &load_options())?;
        let explained = explain(&loaded, self.rule.as_deref());
        if let Some(name) = self.rule.filter(|_| explained.is_empty()) {
            return Err(unknown(&name, &loaded));
        }
        if self.json {
            let rules: Vec<_> = explained.iter().map(as_json).collect();
            writeln!(out, "{:#}", json!(rules))?;
            return Ok(Verdict::Good);
        }
        for (i, rule) in explained.iter().enumerate() {
            write!(out, "{}{}", if i > 0 { "\n" } else { "" }, Text(rule))?;
        }
        Ok(Verdict::Good)
    }

    /// The last argument is a rule's name if it cannot be a file.
    fn take_name(&mut self) {
        let is_name = |last: &PathBuf| !last.exists();
        if self.rule.is_none() && self.files.len() > 1 && self.files.last().is_some_and(is_name) {
            self.rule = self.files.pop().map(|name| name.to_string_lossy().into_owned());
        }
    }
}

fn unknown(name: &str, loaded: &Loaded) -> anyhow::Error {
    let all = explain(loaded, None);
    let help = suggest::did_you_mean(name, all.iter().map(|rule| rule.rule.as_str()));
    anyhow!(
        "'{name}' is neither a file nor a rule of these files{}{help}",
        if help.is_empty() { "" } else { ": " }
    )
}

fn system_calls(rule: &Explanation) -> Option<Vec<&'static str>> {
    match &rule.events {
        Events::Only(names) => Some(table::syscalls_of(names)),
        Events::All => None,
    }
}

fn as_json(rule: &Explanation) -> Value {
    let mut value = json!(rule);
    value["system_calls"] = json!(system_calls(rule));
    value["blind"] = json!(rule.is_blind());
    value
}

/// The form for people.
struct Text<'a>(&'a Explanation);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rule = self.0;
        let state = if rule.enabled { "" } else { ", not enabled" };
        writeln!(
            f,
            "{}\n  {}:{}, source {}, {}{state}",
            rule.rule, rule.file, rule.line, rule.source, rule.priority
        )?;
        section(f, "condition", rule.condition.lines().map(str::to_owned))?;
        section(f, "runs on", runs_on(rule))?;
        section(
            f,
            "reads",
            rule.fields.iter().map(|field| {
                let blind = field.blind.map(|why| format!(": the rule is blind to it: {why}"));
                format!("{} {}{}", field.name, field.ty, blind.unwrap_or_default())
            }),
        )?;
        section(
            f,
            "costs",
            rule.costs.iter().map(|cost| {
                let level = format!("{:?}", cost.level).to_lowercase();
                let parts = if cost.parts.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", cost.parts.join(", "))
                };
                format!("{level}: {parts}{}", cost.reason)
            }),
        )?;
        section(f, "order", order(rule))
    }
}

fn section(
    f: &mut std::fmt::Formatter<'_>,
    title: &str,
    lines: impl IntoIterator<Item = String>,
) -> std::fmt::Result {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(f, "  {title}:")?;
    }
    lines.try_for_each(|line| writeln!(f, "    {line}"))
}

fn runs_on(rule: &Explanation) -> Vec<String> {
    let Events::Only(names) = &rule.events else { return vec![format!("every event of {}", rule.source)] };
    if names.is_empty() {
        return vec!["nothing: no type of event can make it true".to_owned()];
    }
    let calls = system_calls(rule).unwrap_or_default();
    let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
    vec![format!("events: {}", names.join(", ")), format!("system calls: {calls}")]
}

fn order(rule: &Explanation) -> Vec<String> {
    let mut lines: Vec<_> = rule
        .overlaps
        .iter()
        .map(|overlap| {
            let relation = match overlap.relation {
                Relation::AlwaysShadowedBy => "always shadowed by",
                Relation::AlwaysShadows => "always shadows",
                Relation::MayBeShadowedBy => "may be shadowed by",
                Relation::MayShadow => "may shadow",
            };
            format!("{relation} '{}'", overlap.rule)
        })
        .collect();
    if rule.more_overlaps > 0 {
        lines.push(format!("and {} more rules on some of the same events", rule.more_overlaps));
    }
    lines
}
