//! Syscall events on their way from the rings through the engine to the outputs, on one plain thread.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use saker_engine::SyscallEngine;
use saker_source_syscall::{Counters, Item, Lane, Probe, SyscallSet};

use crate::{
    config::{DropAction, SyscallEventDrops},
    drops::{self, Drops, Lost, Report},
    metrics::{self, Extra},
    status::{SourceState, Status},
    users::UserFiles,
};

/// Events between two looks at the clock while there is no idle moment.
const EVENTS_PER_LOOK: u64 = 1024;
/// Time for what is in the rings when the agent ends.
const LAST_DRAIN: Duration = Duration::from_secs(1);

/// How others reach the thread.
#[derive(Default)]
pub struct Control {
    /// Ends the current run of the probe; the thread then looks around and goes on, unless it is to stop.
    interrupt: AtomicBool,
    stop: AtomicBool,
    wanted: Mutex<Option<SyscallSet>>,
    counters: Mutex<Option<Counters>>,
}

impl Control {
    /// Changes which calls are reported, without detaching.
    pub fn want(&self, syscalls: SyscallSet) {
        *lock(&self.wanted) = Some(syscalls);
        self.interrupt.store(true, Relaxed);
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.interrupt.store(true, Relaxed);
    }

    /// What the probe counts by kind of event.
    pub fn metrics(&self) -> Extra {
        let counters = lock(&self.counters);
        let rows = counters.iter().flat_map(|c| &c.cpus).flat_map(|cpu| &cpu.classes);
        let mut lost: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        for row in rows {
            let sum = lost.entry(row.class.name()).or_default();
            *sum = sum.saturating_add(row.ring_full);
        }
        lost.into_iter().map(|(class, lost)| metrics::buffer_drops(class, lost)).collect()
    }
}

/// Reads the processes that exist and then every event, on a thread of its own.
pub fn start(
    probe: Probe,
    engine: SyscallEngine,
    drops: SyscallEventDrops,
    status: Arc<Status>,
) -> io::Result<(Arc<Control>, JoinHandle<()>)> {
    let control = Arc::new(Control::default());
    let drops = Drops::new(drops, Instant::now());
    status.syscall.set(SourceState::Running);
    let handler = Handler {
        engine,
        users: UserFiles::default(),
        drops,
        status,
        control: Arc::clone(&control),
        events: 0,
        looked: Instant::now(),
    };
    let thread = thread::Builder::new().name("syscall".to_owned());
    let thread = thread.spawn(move || Worker { probe, handler }.run())?;
    Ok((control, thread))
}

struct Worker {
    probe: Probe,
    handler: Handler,
}

/// What is done with an item; apart from the probe, which hands items out while it is borrowed.
struct Handler {
    engine: SyscallEngine,
    users: UserFiles,
    drops: Drops,
    status: Arc<Status>,
    control: Arc<Control>,
    /// Not yet added to the status.
    events: u64,
    looked: Instant,
}

impl Worker {
    fn run(mut self) {
        let status = Arc::clone(&self.handler.status);
        let _watch = status.watch_thread(|status| &status.syscall);
        self.handler.look_around();
        self.scan();
        while !self.handler.control.stop.load(Relaxed) {
            let control = Arc::clone(&self.handler.control);
            self.probe.run(&control.interrupt, &mut |item| self.handler.item(&item));
            control.interrupt.store(false, Relaxed);
            self.look_around();
        }
        self.drain();
        self.look_around();
        self.handler.finish();
        status.syscall.set(SourceState::Off);
    }

    /// Fills the process table with what was there before.
    fn scan(&mut self) {
        match self.probe.scan(|event| self.handler.engine.scan(event)) {
            Ok(count) => tracing::info!("{count} processes were there before"),
            Err(error) => {
                tracing::error!(%error, "Processes from before the start are not known by name until they run a program");
            }
        }
    }

    fn look_around(&mut self) {
        if let Some(wanted) = lock(&self.handler.control.wanted).take()
            && let Err(error) = self.probe.set_syscalls(&wanted)
        {
            tracing::error!(%error, "The probe does not report what the rules need");
        }
        match self.probe.counters() {
            Ok(counters) => *lock(&self.handler.control.counters) = Some(counters),
            Err(error) => tracing::error!(%error, "The probe's counters cannot be read"),
        }
        self.handler.look_around();
    }

    /// What happened before the end is reported before the end.
    fn drain(&mut self) {
        let (done, deadline) = (AtomicBool::new(false), Instant::now() + LAST_DRAIN);
        self.probe.run(&done, &mut |item| {
            if matches!(item, Item::Idle) || Instant::now() > deadline {
                done.store(true, Relaxed);
            }
            self.handler.item(&item);
        });
    }
}

impl Handler {
    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Event(event) => {
                self.events = self.events.saturating_add(1);
                let alerts = &self.status.alerts;
                self.engine.event(event, &mut |alert| alerts.send(alert));
                if self.events.is_multiple_of(EVENTS_PER_LOOK) {
                    self.interrupt_if_due();
                }
            }
            Item::Gap { lane, lost, .. } => self.lost(*lane, *lost),
            Item::Idle => {
                self.release(now());
                self.interrupt_if_due();
            }
        }
    }

    /// Evaluates what waited long enough for metadata at this time.
    fn release(&mut self, now: u64) {
        let alerts = &self.status.alerts;
        self.engine.release(now, &mut |alert| alerts.send(alert));
    }

    fn interrupt_if_due(&self) {
        if self.looked.elapsed() >= drops::INTERVAL {
            self.control.interrupt.store(true, Relaxed);
        }
    }

    fn lost(&mut self, lane: Lane, count: u64) {
        self.status.syscall.add_lost(count);
        self.drops.add(match lane {
            Lane::Rare => Lost { rare: count, bulk: 0 },
            Lane::Bulk => Lost { rare: 0, bulk: count },
        });
    }

    fn look_around(&mut self) {
        self.looked = Instant::now();
        if let Some(users) = self.users.changed() {
            self.engine.set_users(Arc::new(users));
        }
        self.status.containers.note(&self.engine);
        self.status.syscall.add_events(std::mem::take(&mut self.events));
        if let Some(report) = self.drops.check(self.looked, self.status.syscall.events()) {
            self.tell(&report);
        }
    }

    fn finish(&mut self) {
        self.release(u64::MAX);
        if let Some(report) = self.drops.finish(Instant::now(), self.status.syscall.events()) {
            self.tell(&report);
        }
    }

    fn tell(&self, report: &Report) {
        for action in &report.actions {
            match action {
                DropAction::Ignore => {}
                DropAction::Log => {
                    let Lost { rare, bulk } = report.lost;
                    tracing::warn!(
                        rare,
                        bulk,
                        events = report.events,
                        "Events were lost because a ring was full"
                    );
                }
                DropAction::Alert => self.status.alerts.send(report.alert(now(), &self.status.hostname)),
                DropAction::Exit => {
                    let reason = "events were lost, and syscall_event_drops.actions says exit";
                    self.status.syscall.set(SourceState::Failed(reason.to_owned()));
                    self.status.end(reason);
                }
            }
        }
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
