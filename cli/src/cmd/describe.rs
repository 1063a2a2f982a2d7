//! `saker rules describe`: what the rules of these files are after expansion.

use std::{io::Write, path::PathBuf};

use saker_events::load_options;
use saker_rules::{describe::describe, load::Blind};
use serde_json::Value;

use crate::{Verdict, input, table};

/// Describe the rules, macros and lists of rules files
///
/// A rule is on, off, or blind: its condition reads a field that no source fills yet, or not as it is compared there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write everything as JSON: compiled conditions, events, fields, operators, lists and macros
    #[arg(long)]
    json: bool,
    /// Rules files in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let loaded = input::load_good(&self.files, &load_options())?;
        let described = describe(&loaded);
        if self.json {
            writeln!(out, "{described:#}")?;
        } else {
            let rules = described["rules"].as_array().into_iter().flatten();
            let rows: Vec<_> = rules.map(|rule| row(&rule["info"], &loaded.blind)).collect();
            table::write(out, &rows)?;
        }
        Ok(Verdict::Good)
    }
}

fn row(rule: &Value, blind: &[Blind]) -> [String; 5] {
    let text = |key: &str| {
        let text = rule[key].as_str().unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let state = match (blind.iter().any(|blind| rule["name"] == *blind.rule), &rule["enabled"]) {
        (true, _) => "blind",
        (false, Value::Bool(false)) => "off",
        (false, _) => "on",
    };
    [text("priority"), text("source"), state.to_owned(), text("name"), text("description")]
}
