//! Every thread of a recorded machine and the descriptors of its processes (scap-format.md §6).
//!
//! A capture tells of everything in its order, so the table follows it step by step: threads of their own, parents
//! that are replaced when they end, and a table of descriptors for each process. Live events are different: see
//! [`crate::process_table`].

mod bounds;
mod clone;
mod containers;
mod effects;
mod exec;
mod exit;
mod fds;
mod files;
mod ids;
mod kinship;
mod lists;
mod sockets;
mod threads;
mod users;

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use saker_events::{
    Event,
    descriptor::{Descriptor, FdType, Used},
    process::{Process, ProcessKey, Processes, Threads as ThreadCounts},
    table::{EventRow, Source, code, event_flags},
    users::{NOBODY, Users},
};

use saker_rules::schema::ProcessState;

use self::{
    containers::Containers,
    fds::Fds,
    files::{Files, Opening},
    kinship::Group,
    threads::Threads,
};
use crate::params::Params;

/// Threads kept at most.
pub const MAX_THREADS: usize = 65_536;
/// Descriptors kept at most, of all processes together.
pub const MAX_FDS: usize = 262_144;
/// Descriptors of one process kept at most.
pub const MAX_FDS_OF_PROCESS: usize = 131_072;

/// What the bounds of the table did, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Threads forgotten because there were too many, or took too much memory: those that were quiet for longest.
    pub evicted_threads: u64,
    /// Descriptors not kept because there were too many.
    pub refused_fds: u64,
    /// Texts about containers that could not be read, or were too many.
    pub refused_containers: u64,
    /// Events by threads that the capture never told of.
    pub unknown: u64,
}

/// One thread with what is known around it.
#[derive(Debug)]
struct Thread {
    process: Process,
    /// Of a first thread: the descriptors that all threads of the process share.
    fds: Fds,
    /// Threads that it started or adopted; some may have ended or been adopted since.
    children: Vec<i64>,
    /// How many children there are before those that are gone are forgotten.
    prune_at: usize,
    /// Whether the child's own record told of it.
    inverted: bool,
    ended: bool,
    /// The descriptor of its last event.
    last_fd: i64,
    /// Code of its last event.
    last_code: u16,
    /// When an event of it came last, by the table's clock.
    used: u64,
    /// Another one whenever its process changes; no other thread has it.
    version: u64,
    /// What its last event said if that was the start of a call that opens or connects.
    opening: Opening,
}

impl Thread {
    fn new(process: Process) -> Box<Self> {
        Box::new(Self {
            process,
            fds: Fds::default(),
            children: Vec::new(),
            prune_at: 64,
            inverted: false,
            ended: false,
            last_fd: -1,
            last_code: u16::MAX,
            used: 0,
            version: 0,
            opening: Opening::default(),
        })
    }

    /// A thread of which only the id is known.
    fn unknown(tid: i64) -> Box<Self> {
        let process = Process { tid, pid: -1, fdlimit: 0, ..Process::unknown(key(tid, 0)) };
        Self::new(process)
    }

    fn is_valid(&self) -> bool {
        self.process.tid >= 0 && self.process.pid >= 0 && self.process.ptid >= 0
    }
}

/// What is taken away before the next event, so that the event that ended it still sees it.
#[derive(Debug, Default)]
struct Ended {
    thread: Option<i64>,
    /// Thread and descriptor.
    fd: Option<(i64, i64)>,
}

/// What waits until all lists are read.
#[derive(Debug, Default)]
struct Listed {
    /// Ports on which somebody waits for calls.
    servers: FxHashSet<u16>,
    /// Threads and descriptors of sockets with two ends.
    sockets: Vec<(i64, i64)>,
}

/// The table. Ids are those of the initial pid namespace, times nanoseconds since the Unix epoch.
#[derive(Debug)]
pub struct ThreadTable {
    threads: Threads,
    groups: FxHashMap<i64, Group>,
    /// Whether a thread was told to be of a process that it is not in, or of a parent whose child it is not.
    strays: bool,
    /// Addresses of the machine, each with the mask of its network.
    interfaces: Vec<(IpAddr, IpAddr)>,
    users: Users,
    users_of_containers: FxHashMap<String, Users>,
    containers: Containers,
    files: Files,
    boot_time: u64,
    /// Counts events.
    clock: u64,
    /// Counts changes of single threads.
    versions: u64,
    /// Counts changes that other threads see: who is whose parent, what a parent runs, who is called what.
    changes: u64,
    /// When a thread ended, with who had started it.
    ends: FxHashMap<i64, (i64, u64)>,
    ended: Ended,
    listed: Listed,
    used: Used,
    /// The thread of the event at hand.
    current: Option<i64>,
    fds: usize,
    /// Bytes of texts and descriptors, about.
    spent: usize,
    counters: Counters,
}

const NO_FD: Used = Used { number: -1, renamed: false };

impl Default for ThreadTable {
    fn default() -> Self {
        Self {
            threads: Threads::default(),
            groups: FxHashMap::default(),
            strays: false,
            interfaces: Vec::new(),
            users: Users::default(),
            users_of_containers: FxHashMap::default(),
            containers: Containers::default(),
            files: Files::default(),
            boot_time: 0,
            clock: 0,
            versions: 0,
            changes: 0,
            ends: FxHashMap::default(),
            ended: Ended::default(),
            listed: Listed::default(),
            used: NO_FD,
            current: None,
            fds: 0,
            spent: 0,
            counters: Counters::default(),
        }
    }
}

impl ThreadTable {
    /// The table of another capture, empty: what it says of its threads is never taken for what this one said.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { changes: self.changes.saturating_add(1), ..Self::default() }
    }

    /// Users and groups as the thread of the event at hand sees them.
    pub fn users(&self) -> &Users {
        if self.users_of_containers.is_empty() {
            return &self.users;
        }
        let container = self.current.and_then(|tid| self.threads.get(tid)?.process.container.as_deref());
        container.map_or(&self.users, |c| self.users_of_containers.get(c.id()).unwrap_or(&NOBODY))
    }

    /// Threads known.
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Whether no thread is known.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// What the bounds did so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The thread that made the event at hand.
    pub fn current(&self) -> Option<&Process> {
        self.threads.get(self.current?).map(|t| &t.process)
    }

    /// Takes note of an event, before rules see it.
    pub fn event(&mut self, event: &Event) {
        if !self.listed.sockets.is_empty() {
            self.settle_lists();
        }
        self.take_away();
        self.used = NO_FD;
        self.current = None;
        let Some(row) = EventRow::of(event.code) else { return };
        let of_thread = matches!(row.source, Source::Syscall | Source::Tracepoint);
        if event.tid >= 0 && (of_thread || event.code == code::PROCINFO_E) {
            self.meet(event, row);
        }
        effects::apply(self, Params { event, row });
        if row.any(event_flags::MODIFIES_STATE) {
            self.charge(event.data_bytes());
        }
        let last = self.current.and_then(|tid| self.threads.get(tid));
        self.used.number = last.map_or(-1, |t| t.last_fd);
    }

    /// Looks the event's thread up and finds out which descriptor the event is about.
    fn meet(&mut self, event: &Event, row: &'static EventRow) {
        self.current = Some(event.tid);
        let introduces = effects::introduces_itself(event.code);
        self.clock = self.clock.saturating_add(1);
        let clock = self.clock;
        let Some(thread) = self.thread_or_unknown(event.tid, introduces) else { return };
        if row.enter || thread.last_code != event.code.wrapping_sub(1) {
            thread.last_fd = -1;
        }
        (thread.last_code, thread.used) = (event.code, clock);
        if row.any(event_flags::USES_FD)
            && let Some(number) = row.fd_param.and_then(|at| Params { event, row }.signed_at(at.into()))
        {
            thread.last_fd = number;
        }
    }

    fn take_away(&mut self) {
        if let Some((tid, fd)) = self.ended.fd.take() {
            self.remove_fd(tid, fd);
        }
        if let Some(tid) = self.ended.thread.take() {
            self.remove(tid);
        }
    }

    /// A thread by its id, made up if the capture has not told of it.
    fn thread_or_unknown(&mut self, tid: i64, introduces_itself: bool) -> Option<&mut Thread> {
        if !self.threads.contains_key(tid) {
            if introduces_itself {
                return None;
            }
            self.counters.unknown = self.counters.unknown.saturating_add(1);
            self.insert(Thread::unknown(tid));
        }
        self.threads.get_mut(tid)
    }

    fn process(&self, tid: i64) -> Option<&Process> {
        self.threads.get(tid).map(|t| &t.process)
    }

    /// A thread that is about to change.
    fn process_mut(&mut self, tid: i64) -> Option<&mut Process> {
        let version = self.next_version();
        let thread = self.threads.get_mut(tid)?;
        thread.version = version;
        Some(&mut thread.process)
    }

    fn next_version(&mut self) -> u64 {
        self.versions = self.versions.saturating_add(1);
        self.versions
    }

    /// Something changed that more than one thread sees.
    fn note_change(&mut self) {
        self.changes = self.changes.saturating_add(1);
    }

    /// The id of the first thread of a thread's process.
    fn main_of(&self, tid: i64) -> Option<i64> {
        let pid = self.threads.get(tid)?.process.pid;
        if pid == tid || self.threads.contains_key(pid) { Some(pid) } else { None }
    }

    fn main_mut(&mut self, tid: i64) -> Option<&mut Thread> {
        let thread = self.threads.get(tid)?;
        let (pid, valid) = (thread.process.pid, thread.process.pid >= 0);
        self.threads.get_mut(if valid { pid } else { tid })
    }
}

/// The name of a thread in the table.
fn key(tid: i64, start: u64) -> ProcessKey {
    ProcessKey { pid: u32::try_from(tid).unwrap_or(u32::MAX), start }
}

impl Processes for ThreadTable {
    fn at(&self, pid: u32, _: u64) -> Option<&Process> {
        self.process(pid.into())
    }

    fn by_tid(&self, tid: i64) -> Option<&Process> {
        self.process(tid)
    }

    fn state(&self, process: &Process) -> Option<ProcessState> {
        // Of a thread that nobody introduced the parent may come later.
        let version = self.threads.get(process.tid).filter(|thread| thread.is_valid())?.version;
        Some(ProcessState { who: process.tid.cast_unsigned(), version, changes: self.changes })
    }

    fn parent(&self, process: &Process) -> Option<&Process> {
        let starter = self.process(self.main(process)?.ptid)?;
        self.main(starter)
    }

    fn starter(&self, process: &Process) -> Option<&Process> {
        self.process(process.ptid)
    }

    fn main<'a>(&'a self, process: &'a Process) -> Option<&'a Process> {
        if process.is_main() { Some(process) } else { self.process(process.pid) }
    }

    fn threads(&self, process: &Process) -> Option<ThreadCounts> {
        let group = self.groups.get(&process.pid);
        let all = group.map_or(0, |g| g.alive);
        let main = self.threads.get(process.pid).is_some_and(|main| !main.ended);
        Some(ThreadCounts { all, others: all.saturating_sub(usize::from(main)) })
    }

    fn descriptor(&self, process: &Process, number: i64) -> Option<&Descriptor> {
        self.fds_of(process)?.get(number).map(|fd| &*fd.file)
    }

    fn descriptors(&self, process: &Process) -> Option<usize> {
        Some(self.threads.get(process.pid).map_or(0, |main| main.fds.len()))
    }

    fn descriptor_types(&self, process: &Process) -> Option<Vec<FdType>> {
        let mut types: Vec<_> = self.fds_of(process)?.values().map(|fd| fd.file.kind).collect();
        types.sort_unstable();
        types.dedup();
        Some(types)
    }

    fn used_descriptor(&self) -> Option<Used> {
        Some(self.used)
    }

    fn is_local(&self, address: IpAddr) -> Option<bool> {
        Some(self.interface_of(address).is_some())
    }
}
