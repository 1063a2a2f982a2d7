//! Syscall events on their way from the rings through the engine to the outputs, on one plain thread.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use saker_engine::{SyscallEngine, internal};
use saker_events::Event;
use saker_source_syscall::{
    ClassCounters, Counters, FilterMode, Heard, Hook, HookState, Item, Lane, Probe, ProbeError, SyscallSet,
    Waker,
};

use crate::{
    capture::Capture,
    config::{DropAction, SyscallEventDrops},
    drops::{self, Drops, Lost, Report},
    metrics::{self, family::Extra},
    source::SourceState,
    status::Status,
    users::UserFiles,
    wanted::Wanted,
};

/// Events between two looks at the clock while there is no idle moment.
const EVENTS_PER_LOOK: u64 = 1024;
/// Time for what is in the rings when the agent ends.
const LAST_DRAIN: Duration = Duration::from_secs(1);

/// The longest sleep while events wait for metadata.
const WAITING_SLEEP: Duration = Duration::from_millis(100);
/// Time for the thread to follow what is wanted.
const PATIENCE: Duration = Duration::from_secs(2);

/// How others reach the thread.
pub struct Control {
    waker: Waker,
    /// Ends the current run of the probe; the thread then looks around and goes on, unless it is to stop.
    interrupt: AtomicBool,
    stop: AtomicBool,
    wanted: Mutex<Option<Wanted>>,
    /// What was wanted is reported.
    followed: Condvar,
    counters: Mutex<Option<Counters>>,
    /// Where the probe listens, and what it reports.
    probe: Mutex<(Vec<Hook>, SyscallSet)>,
}

impl Control {
    fn new(waker: Waker) -> Self {
        Self {
            waker,
            interrupt: AtomicBool::default(),
            stop: AtomicBool::default(),
            wanted: Mutex::default(),
            followed: Condvar::default(),
            counters: Mutex::default(),
            probe: Mutex::default(),
        }
    }

    /// Changes what is reported, without detaching, and returns when it is.
    pub fn want(&self, wanted: Wanted) {
        let mut slot = lock(&self.wanted);
        *slot = Some(wanted);
        self.interrupt();
        let waited = self.followed.wait_timeout_while(slot, PATIENCE, |slot| slot.is_some());
        if waited.is_ok_and(|(_, timeout)| timeout.timed_out()) {
            tracing::warn!(
                "The probe does not report yet what the new rules need: the syscall thread is busy"
            );
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.interrupt();
    }

    fn interrupt(&self) {
        self.interrupt.store(true, Relaxed);
        self.waker.wake();
    }

    /// What the probe counts by kind of event.
    pub fn metrics(&self) -> Extra {
        let counters = lock(&self.counters);
        let by_class = |column: fn(&ClassCounters) -> u64| {
            let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
            for row in counters.iter().flat_map(|c| &c.cpus).flat_map(|cpu| &cpu.classes) {
                let sum = sums.entry(row.class.name()).or_default();
                *sum = sum.saturating_add(column(row));
            }
            sums.into_iter()
        };
        let lost = by_class(|row| row.ring_full).map(|(class, sum)| metrics::buffer_drops(class, sum));
        let filtered = by_class(|row| row.filtered).map(|(class, sum)| metrics::filtered(class, sum));
        let (hooks, syscalls) = &*lock(&self.probe);
        let hooks = hooks.iter().map(|hook| metrics::hook(hook.name, hook.state == HookState::Attached));
        lost.chain(filtered).chain(hooks).chain(syscalls.names().map(metrics::syscall)).collect()
    }
}

/// Reads the processes that exist and then every event, on a thread of its own.
pub fn start(
    probe: Probe,
    wanted: Wanted,
    filter: FilterMode,
    engine: SyscallEngine,
    capture: Option<Capture>,
    drops: SyscallEventDrops,
    status: Arc<Status>,
) -> io::Result<(Arc<Control>, JoinHandle<()>)> {
    let control = Arc::new(Control::new(probe.waker()));
    let drops = Drops::new(drops, Instant::now());
    status.syscall.set(SourceState::Running);
    let handler = Handler {
        engine,
        capture,
        users: UserFiles::default(),
        drops,
        status,
        control: Arc::clone(&control),
        events: 0,
        looked: Instant::now(),
        silent: Vec::new(),
    };
    let thread = thread::Builder::new().name("syscall".to_owned());
    let worker = Worker { probe, reported: wanted.clone(), wanted, filter, handler };
    let thread = thread.spawn(move || worker.run())?;
    Ok((control, thread))
}

struct Worker {
    probe: Probe,
    filter: FilterMode,
    /// What the rules need.
    wanted: Wanted,
    /// What the probe reports: more while a capture runs.
    reported: Wanted,
    handler: Handler,
}

/// What is done with an item; apart from the probe, which hands items out while it is borrowed.
struct Handler {
    engine: SyscallEngine,
    capture: Option<Capture>,
    users: UserFiles,
    drops: Drops,
    status: Arc<Status>,
    control: Arc<Control>,
    /// Not yet added to the status.
    events: u64,
    looked: Instant,
    /// Hooks that do not report.
    silent: Vec<&'static str>,
}

impl Worker {
    fn run(mut self) {
        let status = Arc::clone(&self.handler.status);
        let _watch = status.watch_thread(|status| &status.syscall);
        // A capture needs every event from the moment on that its lists show.
        self.follow();
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
        match self.probe.scan(|event| self.handler.existing(event)) {
            Ok(count) => tracing::info!("{count} processes were there before"),
            Err(error) => {
                tracing::error!(%error, "Processes from before the start are not known by name until they run a program");
            }
        }
        self.handler.capture.iter_mut().for_each(Capture::begin);
    }

    fn look_around(&mut self) {
        self.follow_wanted();
        *lock(&self.handler.control.probe) = (self.probe.hooks().to_vec(), self.reported.syscalls);
        match self.probe.counters() {
            Ok(counters) => {
                self.handler.status.syscall.set_filtered(counters.total(|row| row.filtered));
                *lock(&self.handler.control.counters) = Some(counters);
            }
            Err(error) => tracing::error!(%error, "The probe's counters cannot be read"),
        }
        self.handler.look_around();
    }

    /// Takes over what is wanted now, and tells who waits for it.
    fn follow_wanted(&mut self) {
        let control = Arc::clone(&self.handler.control);
        let asked = lock(&control.wanted).clone();
        if let Some(wanted) = &asked {
            self.wanted = wanted.clone();
        }
        self.follow();
        let mut slot = lock(&control.wanted);
        if *slot == asked {
            *slot = None;
            control.followed.notify_all();
        }
    }

    /// Reports what the rules need, or all while a capture runs.
    fn follow(&mut self) {
        let capturing = self.handler.capture.as_ref().is_some_and(Capture::is_running);
        let wanted = if capturing { Wanted::everything() } else { self.wanted.clone() };
        if wanted == self.reported {
            return;
        }
        let start = Instant::now();
        match self.report(&wanted) {
            Ok(()) => {
                let unfollowed = wanted.follows_changes() && !self.reported.follows_changes();
                self.reported = wanted;
                if unfollowed {
                    self.catch_up();
                }
                tracing::debug!(pause = ?start.elapsed(), "The probe reports what the new rules need");
            }
            Err(error) => tracing::error!(%error, "The probe does not report what the rules need"),
        }
    }

    /// What processes changed of themselves while that was not reported.
    fn catch_up(&mut self) {
        if let Err(error) = self.probe.scan(|event| self.handler.engine.scan(event)) {
            tracing::error!(%error, "What processes changed before the new rules is not known");
        }
    }

    fn report(&mut self, wanted: &Wanted) -> Result<(), ProbeError> {
        self.probe.set_syscalls(&wanted.syscalls)?;
        self.probe.set_families(wanted.families, self.filter)?;
        self.probe.set_closing(wanted.closing)?;
        self.probe.set_filter(wanted.filter.as_ref(), self.filter)
    }

    /// What happened before the end is reported before the end.
    fn drain(&mut self) {
        let (done, deadline) = (AtomicBool::new(false), Instant::now() + LAST_DRAIN);
        self.probe.run(&done, &mut |item| {
            if matches!(item, Item::Idle(_)) || Instant::now() > deadline {
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
                self.event(event);
            }
            Item::Rejected(event) => {
                let wrong = self.event(event);
                if wrong > 0 {
                    tracing::error!(event.num, "The filter would have cost an alert");
                    self.status.syscall.add_filter_faults(wrong);
                }
            }
            Item::Gap { lane, lost, .. } => self.lost(*lane, *lost),
            Item::Heard(heard) => self.heard(*heard),
            Item::Idle(sleep) => {
                self.release(now());
                self.interrupt_if_due();
                self.shorten(sleep);
            }
        }
    }

    /// Evaluates what waited long enough for metadata at this time.
    fn release(&mut self, now: u64) {
        let alerts = &self.status.alerts;
        self.engine.release(now, &mut |alert| alerts.send(alert));
    }

    /// A silent hook makes the source fail, until all are heard again.
    fn heard(&mut self, heard: Heard) {
        let Heard { hook, alive } = heard;
        self.silent.retain(|known| *known != hook);
        if !alive {
            self.silent.push(hook);
            tracing::error!(
                hook,
                "The kernel's hook does not report any more: was it detached or changed? Restart the agent"
            );
            let alert = internal::SilentHook { time: now(), hostname: &self.status.hostname, hook };
            self.status.alerts.send(alert.alert());
        }
        self.status.syscall.set(match self.silent.as_slice() {
            [] => SourceState::Running,
            silent => SourceState::Failed(format!("silent hooks: {}", silent.join(", "))),
        });
    }

    /// Evaluates an event. Returns how many alerts it made.
    fn event(&mut self, event: &Event<'_>) -> u64 {
        self.events = self.events.saturating_add(1);
        // Alerts of events that waited are not this one's.
        self.release(event.ts);
        let (alerts, mut count) = (&self.status.alerts, 0_u64);
        self.engine.event(event, &mut |alert| {
            count = count.saturating_add(1);
            alerts.send(alert);
        });
        self.record(event);
        if self.events.is_multiple_of(EVENTS_PER_LOOK) {
            self.interrupt_if_due();
        }
        count
    }

    fn existing(&mut self, event: &Event) {
        self.engine.scan(event);
        self.capture.iter_mut().for_each(|capture| capture.existing(event));
    }

    /// When the capture ends, the probe reports less again.
    fn record(&mut self, event: &Event) {
        let Some(capture) = &mut self.capture else { return };
        if capture.event(event, self.engine.container(event)) {
            self.control.interrupt.store(true, Relaxed);
        }
    }

    fn interrupt_if_due(&self) {
        if self.looked.elapsed() >= drops::INTERVAL {
            self.control.interrupt.store(true, Relaxed);
        }
    }

    /// Events that wait for metadata are looked after more often.
    fn shorten(&self, sleep: &Cell<Duration>) {
        let look = drops::INTERVAL.saturating_sub(self.looked.elapsed());
        let most = if self.engine.is_waiting() { look.min(WAITING_SLEEP) } else { look };
        sleep.set(sleep.get().min(most));
    }

    fn lost(&mut self, lane: Lane, count: u64) {
        self.status.syscall.add_lost(count);
        self.capture.iter_mut().for_each(|capture| capture.lost(count));
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
        self.status.processes.note(&self.engine);
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
        self.capture.take().into_iter().for_each(Capture::finish);
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
