//! `saker replay`: the live engine over a file of events.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use saker_alert::{Alert, Format, Priority, Renderer};
use saker_capture::Entry;
use saker_engine::{AuditEngine, CaptureEngine, Options, hostname, prefilter::PathTable};
use saker_events::{
    SYSCALL_SOURCE,
    audit::{self, Decoded, Limits, Reason, Rejection},
    load_options,
};
use saker_rules::{load::LoadOptions, select::Selection};

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
    /// Which rules run, as the agent's `rules:` key: "[{disable: {rule: '*'}}, {enable: {tag: network}}]"
    #[arg(long, value_name = "YAML", value_parser = Select::parse)]
    select: Option<Select>,
    /// Write dates in UTC instead of the local time of day
    #[arg(long)]
    iso_time: bool,
}

/// Entries of `rules:`, in their order.
#[derive(Debug, Clone)]
struct Select(Vec<Selection>);

impl Select {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = serde_saphyr::from_str(text).map(Self);
        parsed.map_err(|error| format!("not a list like \"[{{disable: {{tag: a}}}}]\": {error}"))
    }
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
        let Self { json, rules, audit, capture, matching, min_priority, select, iso_time } = self;
        let selection = select.map(|select| select.0).unwrap_or_default();
        let load = LoadOptions { min_priority: min_priority as u8, selection, ..load_options() };
        let (loaded, handle) = input::rules(&rules, &load)?;
        let options = Options { matching: matching.into(), iso8601: iso_time, ..Options::new(hostname()) };
        let renderer = Renderer::new(Format { json, iso_time, ..Format::default() });
        let mut replay = Replay { out, renderer, events: 0, alerts: 0, failed: None };
        let done = match capture {
            Some(path) => {
                let filter = PathTable::new(loaded.conditions(SYSCALL_SOURCE));
                replay.capture(&path, CaptureEngine::new(&handle, &options).with_filter(filter))
            }
            None => replay.audit(&audit.unwrap_or_default(), AuditEngine::new(handle.clone(), &options)),
        };
        replay.out.flush()?;
        let rules = options.hits.of(&handle.load());
        say(&Summary { events: replay.events, alerts: replay.alerts, rules }.to_string());
        done.map(|()| Verdict::Good)
    }
}

/// Events on their way to the output.
struct Replay<'a> {
    out: &'a mut dyn Write,
    renderer: Renderer,
    events: u64,
    alerts: u64,
    /// The first alert that could not be written.
    failed: Option<io::Error>,
}

impl Replay<'_> {
    fn audit(&mut self, path: &Path, mut engine: AuditEngine) -> anyhow::Result<()> {
        for event in decode(path)? {
            self.events = self.events.saturating_add(1);
            engine.event(event, &mut |alert| self.write(&alert));
            self.check()?;
        }
        Ok(())
    }

    /// What comes before a damage is replayed.
    fn capture(&mut self, path: &Path, mut engine: CaptureEngine) -> anyhow::Result<()> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let broken = || format!("{} cannot be read to its end", path.display());
        let mut reader = saker_capture::Reader::new(file).with_context(broken)?;
        while let Some(entry) = reader.next().with_context(broken)? {
            self.events = self.events.saturating_add(u64::from(matches!(entry, Entry::Event { .. })));
            engine.entry(entry, &mut |alert| self.write(&alert));
            self.check()?;
        }
        Ok(())
    }

    fn write(&mut self, alert: &Alert) {
        self.alerts = self.alerts.saturating_add(1);
        let written = writeln!(self.out, "{}", self.renderer.line(alert));
        self.failed = self.failed.take().or(written.err());
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
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
struct Summary {
    events: u64,
    alerts: u64,
    rules: Vec<(String, u64)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events: {}, alerts: {}", self.events, self.alerts)?;
        let fired = self.rules.iter().filter(|(_, count)| *count > 0);
        fired.into_iter().try_for_each(|(rule, count)| write!(f, "\n  {rule}: {count}"))
    }
}
