//! Loads and attaches the probe, and hands over what it sees.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aya::{
    Btf, Ebpf, EbpfError,
    maps::{Array, Map, MapError, PerCpuArray},
    programs::ProgramError,
};
use saker_events::Event;

use crate::{
    Counters, FilterMode, Item, PathFilter, SyscallSet, counters,
    delivery::Delivery,
    filter::Filter,
    integrity::Integrity,
    late::{self, Late},
    link::HookLink,
    liveness::{self, Heard, Liveness},
    object, preflight, procfs,
    programs::Programs,
    rings::{Rings, Waker},
    scan,
    syscalls::WORDS,
};

/// Attached as long as the probe lives.
pub(crate) const ALWAYS: [&str; 3] = ["sched_process_fork", "sched_process_exec", "sched_process_exit"];
/// Attached while system calls are wanted: it costs every call of every process about 0.1 µs.
pub(crate) const SYS_EXIT: &str = "sys_exit";
/// All of them.
pub(crate) const TRACEPOINTS: [&str; 4] = [ALWAYS[0], ALWAYS[1], ALWAYS[2], SYS_EXIT];
const SCAN: &str = "scan";
const TICK: Duration = Duration::from_secs(1);
/// The first tick, with which the hooks follow that can wait: a start has had its first alert by then.
const FIRST_TICK: Duration = Duration::from_millis(100);

/// The probe's `struct wanted`: the calls, the families of `socket`, and whether others are marked.
type Wanted = [u64; WORDS + 2];
/// No call.
const EVERY_FAMILY: Wanted = {
    let mut words = [0; WORDS + 2];
    words[WORDS] = u64::MAX;
    words
};

/// What to capture, and with how much memory.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// System calls to report.
    pub syscalls: SyscallSet,
    /// Sizes of the rings.
    pub ring_bytes: RingBytes,
}

/// Sizes of the rings in bytes; each is rounded up to a power of two of pages.
#[derive(Debug, Clone, Copy)]
pub struct RingBytes {
    /// For fork, exec, exit.
    pub rare: u32,
    /// For everything else.
    pub bulk: u32,
}

impl Default for RingBytes {
    fn default() -> Self {
        Self { rare: 4 << 20, bulk: 8 << 20 }
    }
}

/// A place in the kernel where the probe listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The kernel's name of it.
    pub name: &'static str,
    /// Whether it is in use.
    pub state: HookState,
}

/// Whether a hook is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookState {
    /// It is.
    Attached,
    /// It is not, for this reason.
    Off(String),
}

/// Why the probe does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The machine or the process lacks something.
    #[error("the eBPF probe cannot run here: {}", preflight::advice(.missing))]
    Unsupported {
        /// What is missing and what to do.
        missing: Vec<preflight::Check>,
        /// What failed in the end.
        source: Box<ProbeError>,
    },
    /// The kernel's type information.
    #[error("cannot read the kernel's type information: {0}")]
    Btf(#[source] Box<aya::BtfError>),
    /// The maps or the object as a whole.
    #[error("the kernel refuses the probe's maps: {0}")]
    Maps(#[source] Box<EbpfError>),
    /// Access to a map.
    #[error("cannot access the probe's map {name}: {error}")]
    Map {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        error: Box<MapError>,
    },
    /// A program.
    #[error("the kernel refuses the probe's program {name}: {error}")]
    Program {
        /// The program.
        name: &'static str,
        /// Why.
        #[source]
        error: Box<ProgramError>,
    },
    /// The compiled object lacks a part.
    #[error("the probe was built without {0}")]
    Absent(&'static str),
    /// The thread that had the programs ended without giving them back.
    #[error("the probe's programs are lost: restart the agent")]
    Lost,
    /// What others wake the probe's thread by.
    #[error("cannot make a pipe: {0}")]
    Waker(#[source] std::io::Error),
    /// The list of processes.
    #[error("cannot read the processes that exist: {0}")]
    Scan(#[source] std::io::Error),
}

/// The running probe. Dropping it detaches everything.
pub struct Probe {
    programs: Programs,
    hooks: Vec<Hook>,
    always: Vec<HookLink>,
    sys_exit: Option<HookLink>,
    late: [Late; late::COUNT],
    iterates: bool,
    wanted: Array<aya::maps::MapData, Wanted>,
    /// What was put there.
    wanted_words: Wanted,
    integrity: Integrity,
    counts: PerCpuArray<aya::maps::MapData, counters::Raw>,
    filter: Filter,
    rings: Rings,
    delivery: Delivery,
    next_tick: Instant,
}

impl Probe {
    /// Loads the probe and attaches it. On failure says what is missing and what to do.
    pub fn load(settings: &Settings) -> Result<Self, ProbeError> {
        Self::load_here(settings).map_err(|source| {
            let missing: Vec<_> =
                preflight::environment().into_iter().filter(preflight::Check::failed).collect();
            if missing.is_empty() {
                source
            } else {
                ProbeError::Unsupported { missing, source: Box::new(source) }
            }
        })
    }

    fn load_here(settings: &Settings) -> Result<Self, ProbeError> {
        object::keep_no_large_blocks();
        let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Btf(Box::new(error)))?;
        let mut ebpf = object::open(&btf, settings.ring_bytes)?;
        object::fill(&mut ebpf)?;
        let (tracepoints, scan) = object::load(&mut ebpf, &btf, &TRACEPOINTS);
        tracepoints?;
        drop(btf);
        object::give_back_memory();
        let mut probe = Self::with_maps(ebpf)?;
        probe.set_syscalls(&settings.syscalls)?;
        for name in ALWAYS {
            probe.always.push(object::attach(probe.programs.get()?, name)?);
            probe.note(name, HookState::Attached);
        }
        probe.iterates = scan.is_ok();
        probe.note(
            SCAN,
            scan.map_or_else(|error| HookState::Off(error.to_string()), |()| HookState::Attached),
        );
        Ok(probe)
    }

    fn with_maps(mut ebpf: Ebpf) -> Result<Self, ProbeError> {
        let rings = Rings::new(map(&mut ebpf, "rare")?, map(&mut ebpf, "bulk")?, map(&mut ebpf, "sleeper")?);
        let rings = rings.map_err(ProbeError::Waker)?;
        let (wanted, counts) = (map(&mut ebpf, "syscalls")?, map(&mut ebpf, "counts")?);
        let filter = Filter::new(&mut ebpf)?;
        let delivery = Delivery::new();
        Ok(Self {
            programs: Programs::new(ebpf),
            hooks: Vec::new(),
            always: Vec::new(),
            sys_exit: None,
            late: late::ALL,
            iterates: false,
            wanted,
            wanted_words: EVERY_FAMILY,
            integrity: Integrity::default(),
            counts,
            filter,
            rings,
            delivery,
            next_tick: in_future(FIRST_TICK),
        })
    }

    /// Where the probe listens, and where not and why.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// Whether hooks are still being loaded that can wait.
    pub fn is_loading(&self) -> bool {
        self.programs.are_loading()
    }

    /// Changes which system calls are reported, without a gap for those that stay.
    pub fn set_syscalls(&mut self, syscalls: &SyscallSet) -> Result<(), ProbeError> {
        self.put_wanted(0, &syscalls.with_marker().words())?;
        if syscalls.is_empty() {
            self.sys_exit = None;
            self.note(SYS_EXIT, HookState::Off("no system call is wanted".to_owned()));
        } else {
            if self.sys_exit.is_none() {
                self.sys_exit = Some(object::attach(self.programs.get()?, SYS_EXIT)?);
            }
            self.note(SYS_EXIT, HookState::Attached);
        }
        self.late.iter_mut().for_each(|late| late.want(syscalls));
        self.follow_late()
    }

    /// Changes which sockets are reported by the call that makes them: a bit for each address family, the highest for all
    /// from 63 on.
    pub fn set_families(&mut self, families: u64, mode: FilterMode) -> Result<(), ProbeError> {
        self.put_wanted(WORDS, &[families, u64::from(mode == FilterMode::Mark)])
    }

    /// Changes whether `close` tells what was closed.
    pub fn set_closing(&mut self, told: bool) -> Result<(), ProbeError> {
        self.late[late::CLOSING_AT].ask(told);
        self.follow_late()
    }

    fn put_wanted(&mut self, from: usize, words: &[u64]) -> Result<(), ProbeError> {
        self.wanted_words.iter_mut().skip(from).zip(words).for_each(|(to, word)| *to = *word);
        let refused = |error| ProbeError::Map { name: "syscalls", error: Box::new(error) };
        self.wanted.set(0, self.wanted_words, 0).map_err(refused)
    }

    /// Attaches and detaches hooks that can wait, as far as they are loaded.
    fn follow_late(&mut self) -> Result<(), ProbeError> {
        let results = self.programs.results();
        for late in &mut self.late {
            let failed = late.take(&results);
            if let Some(state) = failed.or(late.follow(&mut self.programs)?) {
                late.hooks().iter().for_each(|name| note(&mut self.hooks, name, state.clone()));
            }
        }
        Ok(())
    }

    /// Attaches those that have been loaded meanwhile.
    fn attach_late(&mut self) {
        if self.programs.are_loading()
            && let Err(error) = self.follow_late()
        {
            tracing::error!(%error, "some hooks could not be attached or detached");
        }
    }

    /// Begins to load hooks that can wait and are wanted.
    fn load_late(&mut self) {
        if self.programs.are_loading() {
            return;
        }
        let hooks: Vec<_> = self.late.iter_mut().flat_map(Late::begin).copied().collect();
        if !hooks.is_empty()
            && let Err(error) = self.programs.load(hooks, self.waker())
        {
            tracing::error!(%error, "some hooks cannot be loaded");
        }
    }

    /// Changes which opens are left out; without a filter none is. Says so if the filter is too large, which
    /// also means none.
    pub fn set_filter(&mut self, filter: Option<&PathFilter>, mode: FilterMode) -> Result<(), ProbeError> {
        let refused = |error| ProbeError::Map { name: "filters", error: Box::new(error) };
        if !self.filter.set(filter, mode).map_err(refused)? {
            tracing::warn!("The rules name too many paths to filter in the kernel: every open is reported");
        }
        Ok(())
    }

    fn note(&mut self, name: &'static str, state: HookState) {
        note(&mut self.hooks, name, state);
    }

    /// Hands over the processes that exist, each as an `execve` event that tells its state. Returns how many.
    /// Kernels before 5.18 cannot list them for the probe; then `/proc` is read, and the events lack an origin.
    pub fn scan(&mut self, mut f: impl FnMut(&Event<'_>)) -> Result<usize, ProbeError> {
        if !self.iterates {
            return procfs::read_all(&mut self.delivery, &mut f).map_err(ProbeError::Scan);
        }
        let refused = |error| ProbeError::Program { name: SCAN, error: Box::new(error) };
        let program = object::iterator(self.programs.get()?)?;
        let link = program.attach().map_err(refused)?;
        let link = program.take_link(link).map_err(refused)?;
        let file = link.into_file().map_err(|error| ProbeError::Scan(std::io::Error::other(error)))?;
        scan::read_all(file, &mut self.delivery, &mut f).map_err(ProbeError::Scan)
    }

    /// For who sets `stop` of a run from another thread.
    pub fn waker(&self) -> Waker {
        self.rings.waker()
    }

    /// Hands over events, gaps and idle moments until `stop` is set. What is still in the rings stays there
    /// for the next run.
    pub fn run(&mut self, stop: &AtomicBool, on: &mut dyn FnMut(Item<'_>)) {
        while !stop.load(Ordering::Relaxed) {
            let worked = self.rings.drain(&mut self.delivery, on);
            if Instant::now() >= self.next_tick {
                self.tick(on);
            }
            self.attach_late();
            let sleep = Cell::new(self.next_tick.saturating_duration_since(Instant::now()));
            if !worked {
                on(Item::Idle(&sleep));
            }
            if !stop.load(Ordering::Relaxed) {
                self.rings.rest(worked, sleep.get());
            }
        }
    }

    fn tick(&mut self, on: &mut dyn FnMut(Item<'_>)) {
        self.next_tick = in_future(TICK);
        match self.counters() {
            Ok(counters) => self.delivery.tick(&counters, self.sys_exit.is_some(), on),
            Err(error) => tracing::error!(%error, "cannot tell whether events were lost"),
        }
        self.load_late();
        self.look().into_iter().for_each(|heard| on(Item::Heard(heard)));
        Liveness::act();
    }

    /// Looks for what was detached or changed and is not told by its silence.
    fn look(&mut self) -> Vec<Heard> {
        let wanted = self.wanted.get(&0, 0).is_ok_and(|words| words == self.wanted_words);
        let maps = [("map syscalls", wanted), ("map filters", self.filter.is_whole())];
        let links = self.always.iter().chain(self.late.iter().flat_map(Late::links));
        let unmarked = links.filter(|link| !liveness::HOOKS.contains(&link.hook()));
        self.integrity.look(maps.into_iter().chain(unmarked.map(|link| (link.hook(), link.holds()))))
    }

    /// What the probe sent, lost and cut until now.
    pub fn counters(&self) -> Result<Counters, ProbeError> {
        Counters::read(&self.counts)
            .map_err(|error| ProbeError::Map { name: "counts", error: Box::new(error) })
    }
}

fn in_future(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

fn note(hooks: &mut Vec<Hook>, name: &'static str, state: HookState) {
    hooks.retain(|hook| hook.name != name);
    hooks.push(Hook { name, state });
}

pub(crate) fn map<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, ProbeError> {
    let map = ebpf.take_map(name).ok_or(ProbeError::Absent(name))?;
    T::try_from(map).map_err(|error| ProbeError::Map { name, error: Box::new(error) })
}
