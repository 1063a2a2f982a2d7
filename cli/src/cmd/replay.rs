//! `saker replay`: the live engine over a file of events.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::ValueEnum;
use saker_alert::{Alert, Format, Priority, Renderer};
use saker_engine::{AuditEngine, Options, hostname};
use saker_events::{
    audit::{self, Decoded, Limits, Reason, Rejection},
    load_options,
};
use saker_rules::load::LoadOptions;

use crate::{Verdict, input, say};

/// Refused items that are told one by one.
const MAX_TOLD: usize = 20;

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

impl From<Matching> for saker_engine::Matching {
    fn from(matching: Matching) -> Self {
        match matching {
            Matching::First => Self::First,
            Matching::All => Self::All,
        }
    }
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let Self { json, rules, audit, capture, matching, min_priority } = self;
        if let Some(path) = capture {
            bail!(
                "capture files such as {} are not available yet; --audit replays audit events",
                path.display()
            );
        }
        let handle =
            input::rules(&rules, &LoadOptions { min_priority: min_priority as u8, ..load_options() })?;
        let events = decode(&audit.unwrap_or_default())?;
        let options = Options { matching: matching.into(), ..Options::new(hostname()) };
        let renderer = Renderer::new(Format { json, ..Format::default() });
        let mut summary = Summary { events: events.len(), ..Summary::default() };
        let mut engine = AuditEngine::new(handle.clone(), &options);
        for event in events {
            let mut alerts = Vec::new();
            engine.event(event, &mut |alert| alerts.push(alert));
            summary.add(&alerts);
            alerts.iter().try_for_each(|alert| writeln!(out, "{}", renderer.line(alert)))?;
        }
        out.flush()?;
        summary.rules = options.hits.of(&handle.load());
        say(&summary.to_string());
        Ok(Verdict::Good)
    }
}

/// The events of a file. What is no audit event is passed over aloud; an input that is not JSON at all is an error.
fn decode(path: &Path) -> anyhow::Result<Vec<audit::AuditEvent>> {
    let limits = Limits { items: usize::MAX, ..Limits::default() };
    let Decoded { events, rejected, .. } = audit::decode(&input::bytes(path)?, &limits);
    let unreadable = |r: &&Rejection| matches!(r.reason, Reason::Empty | Reason::Syntax(_));
    if let (true, Some(rejection)) = (events.is_empty(), rejected.iter().find(unreadable)) {
        bail!("no audit events in {}: {}", path.display(), rejection.reason);
    }
    for rejection in rejected.iter().take(MAX_TOLD) {
        say(&format!("{}: {rejection}", path.display()));
    }
    if rejected.len() > MAX_TOLD {
        say(&format!("{}: {} items are left out in all", path.display(), rejected.len()));
    }
    Ok(events)
}

/// What was seen, for the end.
#[derive(Default)]
struct Summary {
    events: usize,
    alerts: usize,
    rules: Vec<(String, u64)>,
}

impl Summary {
    fn add(&mut self, alerts: &[Alert]) {
        self.alerts = self.alerts.saturating_add(alerts.len());
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events: {}, alerts: {}", self.events, self.alerts)?;
        let fired = self.rules.iter().filter(|(_, count)| *count > 0);
        fired.into_iter().try_for_each(|(rule, count)| write!(f, "\n  {rule}: {count}"))
    }
}
