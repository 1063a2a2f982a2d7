//! Which threads are one process, and who started whom.

use smallvec::SmallVec;

use super::{MAX_THREADS, Thread, ThreadTable};

/// The threads of a process.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub threads: SmallVec<[i64; 1]>,
    /// Those that have not ended.
    pub alive: usize,
    /// Whether it takes in the children of others that end.
    pub reaper: bool,
}

impl ThreadTable {
    /// Adds a thread. Without a known parent it is nobody's child.
    pub(super) fn insert(&mut self, mut thread: Box<Thread>) {
        let tid = thread.process.tid;
        self.remove_now(tid);
        if self.threads.len() >= MAX_THREADS {
            self.evict();
        }
        (thread.used, thread.version) = (self.clock, self.next_version());
        self.fds = self.fds.saturating_add(thread.fds.len());
        self.threads.insert(tid, thread);
        self.note_known(tid);
        self.join(tid);
    }

    /// Makes a valid thread one of its process and its parent's child.
    pub(super) fn join(&mut self, tid: i64) {
        let Some(thread) = self.threads.get(tid) else { return };
        if !thread.is_valid() {
            self.strays |= thread.process.pid >= 0 || thread.process.ptid >= 0;
            return;
        }
        let (pid, ptid, alive) = (thread.process.pid, thread.process.ptid, !thread.ended);
        let group = self.groups.entry(pid).or_default();
        if !group.threads.contains(&tid) {
            group.threads.push(tid);
            group.alive = group.alive.saturating_add(usize::from(alive));
        }
        self.adopt(tid, ptid);
    }

    /// Makes a thread the child of another, or nobody's if that is not known.
    pub(super) fn adopt(&mut self, tid: i64, parent: i64) {
        let known = self.threads.get_mut(parent).filter(|p| p.is_valid() && parent != tid);
        let ptid = if let Some(parent_thread) = known {
            parent_thread.children.push(tid);
            parent
        } else {
            0
        };
        if self.process(tid).is_some_and(|process| process.ptid != ptid) {
            self.note_change();
            self.process_mut(tid).into_iter().for_each(|process| process.ptid = ptid);
        }
        self.prune_children(ptid);
    }

    /// Forgets children that are gone, whenever the list has doubled.
    fn prune_children(&mut self, parent: i64) {
        let Some(thread) = self.threads.get_mut(parent) else { return };
        if thread.children.len() < thread.prune_at {
            return;
        }
        let mut children = std::mem::take(&mut thread.children);
        children.retain(|child| self.process(*child).is_some_and(|p| p.ptid == parent));
        children.sort_unstable();
        children.dedup();
        if let Some(thread) = self.threads.get_mut(parent) {
            thread.prune_at = children.len().saturating_mul(2).max(64);
            thread.children = children;
        }
    }

    /// Takes a thread away that ended, or was replaced. An ended first thread stays until the last of its process.
    pub(super) fn remove(&mut self, tid: i64) {
        let Some(thread) = self.threads.get(tid) else { return };
        let pid = thread.process.pid;
        if !thread.ended {
            self.end(tid, 0);
        }
        let others = self.groups.get(&pid).is_some_and(|g| g.threads.iter().any(|t| *t != tid));
        if pid == tid && others {
            return;
        }
        self.remove_now(tid);
        let main_is_last = self.groups.get(&pid).is_some_and(|g| g.threads.as_slice() == [pid]);
        if main_is_last && self.threads.get(pid).is_some_and(|main| main.ended) {
            self.remove_now(pid);
        }
    }

    /// Makes children nobody's whose parent is forgotten.
    fn orphan(&mut self, parent: i64, children: &[i64]) {
        for child in children {
            if self.process(*child).is_some_and(|process| process.ptid == parent) {
                self.note_change();
                self.process_mut(*child).into_iter().for_each(|process| process.ptid = 0);
            }
        }
    }

    /// Takes a thread out of the table and of its process.
    pub(super) fn remove_now(&mut self, tid: i64) {
        let Some(thread) = self.threads.remove(tid) else { return };
        self.orphan(tid, &thread.children);
        self.fds = self.fds.saturating_sub(thread.fds.len());
        let Some(group) = self.groups.get_mut(&thread.process.pid) else { return self.note_known(tid) };
        if group.threads.contains(&tid) {
            group.alive = group.alive.saturating_sub(usize::from(!thread.ended));
            group.threads.retain(|t| *t != tid);
        }
        if group.threads.is_empty() {
            self.groups.remove(&thread.process.pid);
        }
        self.note_known(tid);
    }

    /// A thread is known or gone that others name: the first of their process, or 0, which is everybody's last parent.
    fn note_known(&mut self, tid: i64) {
        if tid == 0 || self.strays || self.groups.contains_key(&tid) {
            self.note_change();
        }
    }
}
