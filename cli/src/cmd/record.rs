//! `saker record`: system call events of this machine into a capture file.

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use saker_capture::{Ended, Limits, Recorder};
use saker_containers::Containers;
use saker_engine::process_table::{DEFAULT_CAPACITY, ProcessTable};
use saker_events::Event;
use saker_source_syscall::{Item, Probe, RingBytes, Settings, SyscallSet, boot_time};
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::runtime::{Builder, Runtime};

use crate::{Verdict, say};

/// Time for what is in the rings at the end.
const LAST_DRAIN: Duration = Duration::from_secs(1);
/// Time between two looks for a reason to end.
const LOOK: Duration = Duration::from_millis(100);

/// Record what processes on this machine do into a capture file
///
/// Needs the rights of the agent (root). Ends with the command behind `--`, after `--seconds`, at the size limit,
/// or when interrupted, whichever comes first. The file is compressed and readable by its owner alone; `saker
/// replay --capture FILE` runs rules over it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The capture to write; a file that exists is overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// End after this time
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// End when the file has this many MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_size: u64,
    /// Run this command and end with it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, _out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let shown = self.file.display().to_string();
        let limits = Limits { bytes: self.max_size << 20, duration: self.seconds.map(Duration::from_secs) };
        let settings = Settings { syscalls: SyscallSet::all(), ring_bytes: RingBytes::default() };
        let mut probe = Probe::load(&settings)?;
        let written = || format!("cannot write {shown}");
        let mut recorder = Recorder::create(&self.file, limits).with_context(written)?;
        let lookups = lookups().context("cannot look containers up")?;
        let mut processes = processes(&lookups);
        probe.scan(|event| {
            processes.before(event);
            processes.after(event);
            recorder.existing(event);
        })?;
        recorder.begin().with_context(written)?;

        let stop = stop_signal().context("cannot wait for signals")?;
        let child = self.start_command()?;
        say(&format!("recording to {shown}; Ctrl-C ends it"));
        let deadline =
            self.seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        let stopping = Arc::clone(&stop);
        let mut recording = Recording { recorder, processes, child, deadline, stop: stopping, ended: None };
        probe.run(&stop, &mut |item| recording.item(&item));
        recording.drain(&mut probe);
        recording.finish(&shown)
    }

    fn start_command(&self) -> anyhow::Result<Option<Child>> {
        let Some((program, args)) = self.command.split_first() else { return Ok(None) };
        let child = Command::new(program).args(args).spawn();
        child.map(Some).with_context(|| format!("cannot run {program}"))
    }
}

/// What asks container runtimes beside the events.
fn lookups() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// The processes, to know which container an event is of.
fn processes(lookups: &Runtime) -> ProcessTable {
    let _entered = lookups.enter();
    let containers = Containers::start(&saker_containers::Settings::default());
    ProcessTable::new(DEFAULT_CAPACITY, boot_time()).with_lookup(Some(Arc::new(containers)))
}

/// Set by an interrupt or a request to end.
fn stop_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

struct Recording {
    recorder: Recorder,
    processes: ProcessTable,
    child: Option<Child>,
    deadline: Option<Instant>,
    stop: Arc<AtomicBool>,
    ended: Option<Ended>,
}

impl Recording {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Event(event) | Item::Rejected(event) => self.event(event),
            Item::Gap { lost, .. } => self.recorder.lost(*lost),
            Item::Idle(_) if self.is_over() => self.stop.store(true, Relaxed),
            Item::Idle(sleep) => sleep.set(LOOK),
            Item::Heard(_) => {}
        }
    }

    fn event(&mut self, event: &Event) {
        self.processes.before(event);
        let container = self.processes.of_event(event).and_then(|process| process.container.as_ref());
        if let Some(ended) = self.recorder.event(event, container) {
            self.ended = Some(ended);
            self.stop.store(true, Relaxed);
        }
        self.processes.after(event);
    }

    /// What happened before the end is recorded before the end.
    fn drain(&mut self, probe: &mut Probe) {
        let (done, start) = (AtomicBool::new(false), Instant::now());
        probe.run(&done, &mut |item| {
            if matches!(item, Item::Idle(_)) || start.elapsed() > LAST_DRAIN {
                done.store(true, Relaxed);
            }
            self.item(&item);
        });
    }

    fn is_over(&mut self) -> bool {
        let done = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        done || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn finish(self, shown: &str) -> anyhow::Result<Verdict> {
        let summary = self.recorder.finish().with_context(|| format!("cannot write {shown}"))?;
        match self.ended {
            Some(Ended::Error(error)) => return Err(error).with_context(|| format!("cannot write {shown}")),
            Some(why) => say(&format!("the recording ends: {why}")),
            None => {}
        }
        say(&format!("{shown}: {summary}"));
        Ok(Verdict::Good)
    }
}
