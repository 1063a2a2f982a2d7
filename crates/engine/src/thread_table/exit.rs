//! The end of a thread, and who takes its children in.

use saker_events::process::Process;

use super::{Thread, ThreadTable};
use crate::params::Params;

/// How long an end is remembered, nanoseconds.
pub(super) const RECENT: u64 = 2_000_000_000;
/// Ends remembered at most.
const MAX_ENDS: usize = 65_536;
/// Generations that the search for a reaper goes up at most.
const MAX_ANCESTORS: usize = 256;

/// `procexit`: its children go to another, the thread itself after the event.
pub(super) fn ended(table: &mut ThreadTable, params: Params) {
    let tid = params.event.tid;
    let Some(ptid) = table.process(tid).map(|p| p.ptid) else { return };
    if table.ends.len() >= MAX_ENDS {
        table.ends.clear();
    }
    table.ends.insert(tid, (ptid, params.event.ts));
    table.end(tid, params.signed("reaper_tid").unwrap_or(0));
    table.ended.thread = Some(tid);
}

impl ThreadTable {
    /// Marks a thread as ended and gives its children away, to `reaper` if that is known.
    pub(super) fn end(&mut self, tid: i64, reaper: i64) {
        let Some(thread) = self.threads.get_mut(tid).filter(|t| !t.ended) else { return };
        thread.ended = true;
        let children = std::mem::take(&mut thread.children);
        let pid = thread.process.pid;
        if let Some(group) = self.groups.get_mut(&pid).filter(|g| g.threads.contains(&tid)) {
            group.alive = group.alive.saturating_sub(1);
        }
        let alive = |child: &i64| self.process(*child).is_some_and(|p| p.ptid == tid);
        let children: Vec<i64> = children.into_iter().filter(alive).collect();
        if children.is_empty() {
            return;
        }
        let named = Some(reaper).filter(|r| *r > 0 && self.threads.get(*r).is_some_and(Thread::is_valid));
        let reaper = named.or_else(|| self.reaper(tid)).unwrap_or(0);
        self.set_reaper(reaper, true);
        for child in children {
            self.adopt(child, reaper);
        }
    }

    /// Whether the process of a thread takes in the children of others.
    pub(super) fn set_reaper(&mut self, tid: i64, reaper: bool) {
        let pid = self.process(tid).map(|p| p.pid);
        if let Some(group) = pid.and_then(|pid| self.groups.get_mut(&pid)) {
            group.reaper = reaper;
        }
    }

    /// A living thread of the same process, or else the nearest ancestor that takes children in.
    fn reaper(&self, tid: i64) -> Option<i64> {
        let process = self.process(tid)?;
        let group = self.groups.get(&process.pid);
        let living = |t: &&i64| **t != tid && self.threads.get(**t).is_some_and(|t| !t.ended);
        if let Some(other) = group.and_then(|g| g.threads.iter().find(living)) {
            return Some(*other);
        }
        let above = |p: &&Process| self.process(p.ptid);
        let ancestors = std::iter::successors(Some(process), above).skip(1).take(MAX_ANCESTORS);
        let near = ancestors.take_while(|p| p.pidns_start == process.pidns_start);
        near.filter(|p| p.pid != process.pid && self.is_reaper(p)).find_map(|p| self.living(p.pid))
    }

    fn is_reaper(&self, process: &Process) -> bool {
        let chosen = self.groups.get(&process.pid).is_some_and(|g| g.reaper);
        chosen || process.pid == 1 || process.vpid == 1
    }

    /// A living thread of a process, its first if that is one.
    fn living(&self, pid: i64) -> Option<i64> {
        let alive = |tid: &i64| self.threads.get(*tid).is_some_and(|t| !t.ended);
        let threads = &self.groups.get(&pid)?.threads;
        Some(pid).filter(alive).or_else(|| threads.iter().copied().find(alive))
    }
}
