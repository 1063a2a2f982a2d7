//! `saker rules describe`: what the rules of these files are after expansion.

use std::{io::Write, path::PathBuf};

use saker_rules::describe::describe;
use serde_json::Value;

use crate::{Verdict, input, options, table};

/// Describe the rules, macros and lists of rules files
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
        let described = describe(&input::load_good(&self.files, &options())?);
        if self.json {
            writeln!(out, "{described:#}")?;
        } else {
            let rules = described["rules"].as_array().into_iter().flatten();
            let rows: Vec<_> = rules.map(|rule| row(&rule["info"])).collect();
            table::write(out, &rows)?;
        }
        Ok(Verdict::Good)
    }
}

fn row(rule: &Value) -> [String; 4] {
    ["priority", "source", "name", "description"].map(|key| {
        let text = rule[key].as_str().unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}
