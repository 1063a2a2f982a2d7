//! `saker replay`: the live engine over a file of events.

use std::{io::Write, path::PathBuf};

use clap::ValueEnum;
use saker_alert::Priority;

use crate::Verdict;

/// Run rules over recorded events and print the alerts
///
/// Alerts go to standard output, one a line, a summary to standard error. The exit code says whether the rules
/// loaded and the events could be read, not whether there were alerts.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("events").required(true))]
pub struct Args {
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
    /// Rules file; several share one engine, later ones see and override earlier ones
    #[arg(long = "rules", value_name = "FILE", required = true)]
    rules: Vec<PathBuf>,
    /// Kubernetes audit events: one JSON value a line, or one value: event, EventList or array; "-" reads standard input
    #[arg(long, value_name = "EVENTS", group = "events")]
    audit: Option<PathBuf>,
    /// System call events in a capture file
    #[arg(long, value_name = "FILE", group = "events")]
    capture: Option<PathBuf>,
    /// Whether an event makes one alert or one of every rule that matches
    #[arg(long, value_enum, default_value_t = Matching::First)]
    matching: Matching,
    /// Leave out rules that are less urgent
    #[arg(long, value_name = "PRIORITY", default_value = "debug")]
    min_priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Matching {
    /// The first rule in the order of the files
    First,
    /// Every rule
    All,
}
