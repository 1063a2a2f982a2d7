//! Every process of the machine, as far as events told: state behind `proc.*` and the rest.
//!
//! Order of arrival does not matter: a record of another CPU may come early. A process is named by id and
//! start time, its parent is looked up by id and time when it is asked for, and an exec carries the whole
//! identity. Ended processes stay for a while, because their children still name them.

mod update;

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use saker_events::{
    Event, Origin,
    container::Lookup,
    descriptor::FdType,
    process::{Image, Living, Process, ProcessKey, Processes, Standard, Threads},
};
use saker_rules::schema::ProcessState;
use smallvec::SmallVec;

use crate::containers::{self, Containers};

pub use update::CHANGES;

/// Living and ended processes kept, unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 262_144;
/// Ended processes kept at most.
pub const MAX_ENDED: usize = 16_384;

/// What happened to the table, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Ended processes forgotten to make room.
    pub forgotten: u64,
    /// Living processes forgotten to make room: those that were quiet for longest.
    pub evicted: u64,
    /// Events by processes that the table does not know.
    pub unknown: u64,
    /// Processes whose end was never reported; found when their id was given to another.
    pub missed_exits: u64,
}

#[derive(Debug)]
struct Entry {
    process: Process,
    ended: bool,
    /// When an event of it came last, by the table's clock.
    used: u64,
}

/// The table. Times are nanoseconds, ids those of the initial pid namespace.
#[derive(Debug)]
pub struct ProcessTable {
    /// By id, oldest first; more than one only while ended ones are kept.
    by_pid: FxHashMap<u32, SmallVec<[Box<Entry>; 1]>>,
    ended: VecDeque<ProcessKey>,
    len: usize,
    capacity: usize,
    /// Counts events.
    clock: u64,
    /// Counts changes of processes, and of who is known.
    changes: u64,
    /// When the machine started, nanoseconds since the Unix epoch.
    boot_time: u64,
    counters: Counters,
    containers: Containers,
    living: Option<Arc<dyn Living>>,
}

impl ProcessTable {
    /// An empty table for at most `capacity` processes on a machine started at `boot_time`.
    pub fn new(capacity: usize, boot_time: u64) -> Self {
        Self {
            by_pid: FxHashMap::default(),
            ended: VecDeque::new(),
            len: 0,
            capacity,
            clock: 0,
            changes: 0,
            boot_time,
            counters: Counters::default(),
            containers: Containers::new(None),
            living: None,
        }
    }

    /// Asks there for what no event tells.
    #[must_use]
    pub fn with_living(self, living: Option<Arc<dyn Living>>) -> Self {
        Self { living, ..self }
    }

    /// Containers seen from now on are looked up by this.
    #[must_use]
    pub fn with_lookup(mut self, lookup: Option<Arc<dyn Lookup>>) -> Self {
        self.containers = Containers::new(lookup);
        self
    }

    /// Living and ended processes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the bounds of the table of containers did so far.
    pub fn containers(&self) -> containers::Counters {
        self.containers.counters()
    }

    /// The process that made an event. Captures name threads only: there the newest process of that id counts.
    pub fn of_event(&self, event: &Event) -> Option<&Process> {
        self.entry(self.key_of(event)?).map(|e| &e.process)
    }

    fn key_of(&self, event: &Event) -> Option<ProcessKey> {
        match event.origin {
            Some(origin) => Some(key(origin)),
            None => self.by_tid(event.tid).map(|p| p.key),
        }
    }

    fn entry(&self, key: ProcessKey) -> Option<&Entry> {
        self.by_pid.get(&key.pid)?.iter().map(AsRef::as_ref).find(|e| e.process.key == key)
    }

    fn entry_mut(&mut self, key: ProcessKey) -> Option<&mut Entry> {
        self.by_pid.get_mut(&key.pid)?.iter_mut().map(AsMut::as_mut).find(|e| e.process.key == key)
    }

    /// The entry of this key, made by `new` if there is none; `None` if the table is full.
    fn entry_or(&mut self, key: ProcessKey, new: impl FnOnce(&Self) -> Process) -> Option<&mut Entry> {
        if self.entry(key).is_none() {
            self.make_room()?;
            let process = new(self);
            self.insert(Entry { process, ended: false, used: self.clock });
            self.end_older(key.pid);
        }
        self.entry_mut(key)
    }

    /// Something of a process changed that its children may see too.
    pub(crate) fn note_change(&mut self) {
        self.changes = self.changes.saturating_add(1);
    }

    fn insert(&mut self, entry: Entry) {
        self.note_change();
        let same_pid = self.by_pid.entry(entry.process.key.pid).or_default();
        let at = same_pid.partition_point(|e| e.process.key < entry.process.key);
        same_pid.insert(at, Box::new(entry));
        self.len = self.len.saturating_add(1);
    }

    fn make_room(&mut self) -> Option<()> {
        while self.len >= self.capacity {
            (self.forget_oldest() || self.evict()).then_some(())?;
        }
        Some(())
    }

    /// Forgets a quarter of the living processes without children, those that were quiet for longest; `false` if
    /// there are none. Who has children is somebody's answer to where they come from.
    fn evict(&mut self) -> bool {
        let living = || self.by_pid.values().flatten().filter(|entry| !entry.ended);
        let parents: FxHashSet<i64> = living().map(|entry| entry.process.ptid).collect();
        let leaves = living().filter(|entry| !parents.contains(&entry.process.pid));
        let mut leaves: Vec<_> = leaves.map(|entry| (entry.used, entry.process.key)).collect();
        leaves.sort_unstable();
        leaves.truncate(leaves.len().div_ceil(4));
        for (_, key) in &leaves {
            self.remove(*key);
        }
        let gone = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        self.counters.evicted = self.counters.evicted.saturating_add(gone);
        gone > 0
    }

    /// Of several processes with one id only the newest can be alive, whether or not an end was reported.
    fn end_older(&mut self, pid: u32) {
        let same_pid = self.by_pid.get(&pid).map(SmallVec::as_slice).unwrap_or_default();
        let older = same_pid.split_last().map(|(_, older)| older).unwrap_or_default();
        let alive = older.iter().filter(|e| !e.ended).map(|e| e.process.key);
        for missed in alive.collect::<SmallVec<[ProcessKey; 2]>>() {
            self.counters.missed_exits = self.counters.missed_exits.saturating_add(1);
            self.end(missed);
        }
    }

    /// Marks a process as ended. Its environment is of no use to its children and often large.
    fn end(&mut self, key: ProcessKey) {
        // Its environment goes: whoever asks for it sees another.
        self.note_change();
        let Some(entry) = self.entry_mut(key).filter(|e| !e.ended) else { return };
        entry.ended = true;
        if let Some(image) = Arc::get_mut(&mut entry.process.image) {
            image.env = Box::default();
        }
        self.ended.push_back(key);
        if self.ended.len() > MAX_ENDED {
            self.forget_oldest();
        }
    }

    /// Forgets the process that ended first; `false` if none has ended.
    fn forget_oldest(&mut self) -> bool {
        let Some(key) = self.ended.pop_front() else { return false };
        self.remove(key);
        self.counters.forgotten = self.counters.forgotten.saturating_add(1);
        true
    }

    fn remove(&mut self, key: ProcessKey) {
        self.note_change();
        if let Some(same_pid) = self.by_pid.get_mut(&key.pid) {
            same_pid.retain(|e| e.process.key != key);
            if same_pid.is_empty() {
                self.by_pid.remove(&key.pid);
            }
        }
        self.len = self.len.saturating_sub(1);
    }
}

impl Processes for ProcessTable {
    fn at(&self, pid: u32, time: u64) -> Option<&Process> {
        let same_pid = self.by_pid.get(&pid)?;
        same_pid.iter().rev().map(|e| &e.process).find(|p| p.key.start <= time)
    }

    fn state(&self, process: &Process) -> Option<ProcessState> {
        let ProcessKey { pid, start } = self.entry(process.key)?.process.key;
        Some(ProcessState { who: start, version: pid.into(), changes: self.changes })
    }

    fn threads(&self, process: &Process) -> Option<Threads> {
        let all = self.living.as_ref()?.threads(process.key)?;
        Some(Threads { all, others: all.saturating_sub(1) })
    }

    fn descriptors(&self, process: &Process) -> Option<usize> {
        self.living.as_ref()?.descriptors(process.key)
    }

    fn descriptor_types(&self, process: &Process) -> Option<Vec<FdType>> {
        self.living.as_ref()?.descriptor_types(process.key)
    }

    fn standard(&self, process: &Process, number: i64) -> Option<Standard<'_>> {
        self.living.as_ref()?.standard(process.key, number)
    }
}

fn key(origin: Origin) -> ProcessKey {
    ProcessKey { pid: origin.tgid, start: origin.start }
}

/// The program of a process of which no exec was seen: what its parent ran, or what the record says.
fn inherited(parent: Option<&Process>, exe: &[u8], args: &[u8]) -> Arc<Image> {
    match parent {
        Some(parent) => Arc::clone(&parent.image),
        None => Arc::new(Image { exe: exe.into(), args: args.into(), ..Image::default() }),
    }
}
