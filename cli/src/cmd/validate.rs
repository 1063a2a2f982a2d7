//! `saker rules validate`: do these files load?

use std::{io::Write, path::PathBuf};

use saker_events::load_options;
use saker_rules::{
    load::{Loaded, load},
    report,
};

use crate::{Verdict, input, say};

/// Definitions in the place of others that are told one by one.
const MAX_TOLD: usize = 10;

/// Check rules files
///
/// Several files share one engine: later ones see and override what earlier ones define. The exit code is 1 if any
/// of them is invalid; warnings do not count.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write Falco's validation JSON
    #[arg(long)]
    json: bool,
    /// Rules files in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let loaded = load(&input::rules_files(&self.files), &load_options());
        input::tell_blind(&loaded);
        tell_replaced(&loaded);
        if !self.json {
            tell_schema(&loaded);
        }
        if loaded.successful() && loaded.compiled() == 0 {
            say("note: there is no rule in these files");
        }
        if self.json {
            writeln!(out, "{}", report::json(&loaded.files))?;
        } else {
            write!(out, "{}", report::text(&loaded.files))?;
        }
        Ok(Verdict::of(loaded.successful()))
    }
}

/// Keys and values that the loader overlooks, as Falco does, but that mean nothing.
fn tell_schema(loaded: &Loaded) {
    let good = loaded.files.iter().filter(|file| file.successful());
    let odd = good.filter(|file| file.schema.as_ref().is_some_and(|found| !found.is_empty()));
    for file in odd {
        say(&format!("note: {}: schema validation: {}", file.name, file.schema_validation()));
    }
}

fn tell_replaced(loaded: &Loaded) {
    loaded.replaced.iter().take(MAX_TOLD).for_each(|replaced| say(&format!("note: {replaced}")));
    let more = loaded.replaced.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        say(&format!("note: … and {more} more definitions are replaced"));
    }
}
