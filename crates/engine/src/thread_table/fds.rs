//! The descriptors of a process.

use std::{ops::RangeInclusive, sync::Arc};

use rustc_hash::FxHashMap;
use saker_events::{descriptor::Descriptor, process::Process};

use super::{MAX_FDS, MAX_FDS_OF_PROCESS, ThreadTable};

/// An open descriptor. What it stands for is shared with the processes that inherited it until one changes it.
#[derive(Debug, Clone)]
pub(super) struct KeptFd {
    pub file: Arc<Descriptor>,
    pub close_on_exec: bool,
}

/// Descriptors with lower numbers have places of their own.
const LOW: usize = 64;

/// Descriptors by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Fds {
    low: Vec<Option<KeptFd>>,
    high: FxHashMap<i64, KeptFd>,
    len: usize,
}

impl Fds {
    pub(super) fn get(&self, number: i64) -> Option<&KeptFd> {
        match low(number) {
            Some(at) => self.low.get(at)?.as_ref(),
            None => self.high.get(&number),
        }
    }

    pub(super) fn get_mut(&mut self, number: i64) -> Option<&mut KeptFd> {
        match low(number) {
            Some(at) => self.low.get_mut(at)?.as_mut(),
            None => self.high.get_mut(&number),
        }
    }

    /// Returns whether there was none.
    fn insert(&mut self, number: i64, fd: KeptFd) -> bool {
        let old = match low(number) {
            Some(at) => {
                if at >= self.low.len() {
                    self.low.resize(at.saturating_add(1), None);
                }
                self.low.get_mut(at).and_then(|slot| slot.replace(fd))
            }
            None => self.high.insert(number, fd),
        };
        self.len = self.len.saturating_add(usize::from(old.is_none()));
        old.is_none()
    }

    fn remove(&mut self, number: i64) -> bool {
        let old = match low(number) {
            Some(at) => self.low.get_mut(at).and_then(Option::take),
            None => self.high.remove(&number),
        };
        self.len = self.len.saturating_sub(usize::from(old.is_some()));
        old.is_some()
    }

    fn retain(&mut self, keep: impl Fn(i64, &KeptFd) -> bool) {
        for (number, slot) in (0..).zip(&mut self.low) {
            if slot.as_ref().is_some_and(|fd| !keep(number, fd)) {
                *slot = None;
            }
        }
        self.high.retain(|number, fd| keep(*number, fd));
        self.len = self.low.iter().flatten().count().saturating_add(self.high.len());
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (i64, &mut KeptFd)> {
        let low = (0..).zip(&mut self.low).filter_map(|(number, slot)| Some((number, slot.as_mut()?)));
        low.chain(self.high.iter_mut().map(|(number, fd)| (*number, fd)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &KeptFd> {
        self.low.iter().flatten().chain(self.high.values())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

fn low(number: i64) -> Option<usize> {
    usize::try_from(number).ok().filter(|at| *at < LOW)
}

impl ThreadTable {
    /// A descriptor of the thread's process.
    pub(super) fn fd(&self, tid: i64, number: i64) -> Option<&KeptFd> {
        self.threads.get(self.holder(tid)?)?.fds.get(number)
    }

    pub(super) fn fd_mut(&mut self, tid: i64, number: i64) -> Option<&mut KeptFd> {
        let holder = self.holder(tid)?;
        self.threads.get_mut(holder)?.fds.get_mut(number)
    }

    /// All descriptors of a process.
    pub(super) fn fds_of(&self, process: &Process) -> Option<&Fds> {
        let holder = if process.pid < 0 { process.tid } else { process.pid };
        self.threads.get(holder).map(|thread| &thread.fds)
    }

    /// The thread whose table counts for this one: its process's first, or itself while its process is not known.
    fn holder(&self, tid: i64) -> Option<i64> {
        let pid = self.threads.get(tid)?.process.pid;
        Some(if pid < 0 { tid } else { pid })
    }

    /// Adds a descriptor or replaces one.
    pub(super) fn put_fd(&mut self, tid: i64, number: i64, fd: KeptFd) {
        let Some(holder) = self.holder(tid) else { return };
        let full = self.fds >= MAX_FDS;
        let Some(thread) = self.threads.get_mut(holder) else { return };
        let full = full || thread.fds.len() >= MAX_FDS_OF_PROCESS;
        if full && thread.fds.get(number).is_none() {
            self.counters.refused_fds = self.counters.refused_fds.saturating_add(1);
            return;
        }
        let new = thread.fds.insert(number, fd);
        self.fds = self.fds.saturating_add(usize::from(new));
    }

    /// Adds a descriptor that the event at hand made.
    pub(super) fn make_fd(&mut self, number: i64, file: impl Into<Arc<Descriptor>>, close_on_exec: bool) {
        let file = file.into();
        self.used.renamed = !file.name.is_empty();
        self.inherit_fd(number, KeptFd { file, close_on_exec });
    }

    /// Adds a descriptor that the event at hand took from another.
    pub(super) fn inherit_fd(&mut self, number: i64, fd: KeptFd) {
        let Some(tid) = self.current else { return };
        self.put_fd(tid, number, fd);
        if let Some(thread) = self.threads.get_mut(tid) {
            thread.last_fd = number;
        }
    }

    pub(super) fn remove_fd(&mut self, tid: i64, number: i64) {
        let holder = self.holder(tid).and_then(|holder| self.threads.get_mut(holder));
        let removed = holder.is_some_and(|thread| thread.fds.remove(number));
        self.fds = self.fds.saturating_sub(usize::from(removed));
    }

    /// Keeps only some descriptors of the thread's process.
    pub(super) fn retain_fds(&mut self, tid: i64, keep: impl Fn(i64, &KeptFd) -> bool) {
        let Some(thread) = self.holder(tid).and_then(|holder| self.threads.get_mut(holder)) else { return };
        let before = thread.fds.len();
        thread.fds.retain(keep);
        self.fds = self.fds.saturating_sub(before.saturating_sub(thread.fds.len()));
    }

    /// Marks descriptors that are not for the next program.
    pub(super) fn close_on_exec(&mut self, tid: i64, range: &RangeInclusive<i64>) {
        let Some(thread) = self.holder(tid).and_then(|holder| self.threads.get_mut(holder)) else { return };
        for (number, fd) in thread.fds.iter_mut() {
            fd.close_on_exec |= range.contains(&number);
        }
    }

    /// A child's own copy of what its parent has open.
    pub(super) fn copy_fds(&mut self, from: i64) -> Fds {
        let Some(thread) = self.holder(from).and_then(|holder| self.threads.get(holder)) else {
            return Fds::default();
        };
        if self.fds.saturating_add(thread.fds.len()) > MAX_FDS {
            let count = u64::try_from(thread.fds.len()).unwrap_or(u64::MAX);
            self.counters.refused_fds = self.counters.refused_fds.saturating_add(count);
            return Fds::default();
        }
        thread.fds.clone()
    }

    /// Changes what a descriptor stands for.
    pub(super) fn change_fd(&mut self, tid: i64, number: i64, change: impl FnOnce(&mut Descriptor)) {
        let Some(fd) = self.fd_mut(tid, number) else { return };
        let file = Arc::make_mut(&mut fd.file);
        let before = Arc::clone(&file.name);
        change(file);
        let renamed = *file.name != *before;
        self.used.renamed |= renamed;
    }
}
