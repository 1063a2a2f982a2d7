//! What each event does to the table (scap-format.md §6).

use std::sync::Arc;

use saker_events::{
    Event,
    container::Container,
    descriptor::FdType,
    fd::starts_at_cwd,
    fd_facts::FdFacts,
    process::{Capabilities, Process, ProcessKey, Processes},
    table::{CLONE_FLAGS, EventRow, ParamPlace, code, symbol_value},
};

use super::{Entry, ProcessTable, inherited, key};
use crate::params::{
    Params, enters_user_namespace, set, set_capabilities, set_common, set_cwd, set_identity,
};

const THREAD: u64 = symbol_value(CLONE_FLAGS, "CLONE_THREAD");

/// The cgroups of a process and the container that they name.
struct Place {
    cgroups: Arc<[u8]>,
    container: Option<Arc<Container>>,
}

impl ProcessTable {
    /// Takes note of an event before rules see it: forks, execs, changes of directory, ids and sessions.
    pub fn before(&mut self, event: &Event) {
        let Some(row) = EventRow::of(event.code) else { return };
        self.clock = self.clock.saturating_add(1);
        self.update(Params { event, row });
        let clock = self.clock;
        match self.key_of(event).and_then(|key| self.entry_mut(key)) {
            Some(entry) => entry.used = clock,
            None => self.counters.unknown = self.counters.unknown.saturating_add(1),
        }
    }

    fn update(&mut self, params: Params) {
        match params.event.code {
            code::SYSCALL_CLONE_20_X
            | code::SYSCALL_FORK_20_X
            | code::SYSCALL_VFORK_20_X
            | code::SYSCALL_CLONE3_X => self.forked(params),
            code::SYSCALL_EXECVE_19_X | code::SYSCALL_EXECVEAT_X if params.signed("res") == Some(0) => {
                self.ran(params);
            }
            _ => self.changed(params),
        }
    }

    /// Takes note of an event after rules saw it: the end of a process.
    pub fn after(&mut self, event: &Event) {
        let first_thread = |key: ProcessKey| i64::from(key.pid) == event.tid;
        if let Some(key) = self.key_of(event).filter(|k| event.code == code::PROCEXIT_1_E && first_thread(*k))
        {
            self.end(key);
        }
    }

    /// The child's side of a fork: its first thread's record starts a process, another's does not.
    fn forked(&mut self, params: Params) {
        let thread = params.number("flags").unwrap_or(0) & THREAD != 0;
        if thread || params.signed("res") != Some(0) {
            return;
        }
        let Some(key) = new_key(params) else { return };
        let Some(ptid) = params.signed("ptid") else { return };
        let before = self.started_by(ptid, key).map(|parent| Arc::clone(&parent.cgroups));
        let place = self.place(params, before);
        let Some(entry) = self.entry_or(key, |table| table.child(params, key, ptid, place)) else { return };
        entry.process.ptid = ptid;
        self.note_change();
    }

    fn started_by(&self, ptid: i64, child: ProcessKey) -> Option<&Process> {
        u32::try_from(ptid).ok().and_then(|pid| self.at(pid, child.start))
    }

    /// A new process: what it inherits from its parent, and what its record says.
    fn child(&self, params: Params, key: ProcessKey, ptid: i64, place: Option<Place>) -> Process {
        let parent = self.started_by(ptid, key);
        let mut child = parent.cloned().unwrap_or_else(|| Process::unknown(key));
        child.key = key;
        child.pid = key.pid.into();
        child.tid = child.pid;
        child.started = self.started(params, key);
        child.image = inherited(parent, params.text("exe"), params.list("args"));
        child.memory = params.memory();
        child.vpid = params.signed("vpid").unwrap_or(child.pid);
        child.vtid = child.vpid;
        set_place(&mut child, place);
        set_common(&mut child, params, self.boot_time);
        child
    }

    /// An exec, or a process that was there before us: the record holds all of it.
    fn ran(&mut self, params: Params) {
        let Some(key) = self.key_of(params.event).or_else(|| new_key(params)) else { return };
        let started = self.started(params, key);
        let boot_time = self.boot_time;
        let before = self.entry(key).map(|entry| Arc::clone(&entry.process.cgroups));
        let place = self.place(params, before);
        let Some(entry) = self.entry_or(key, |_| Process { started, ..Process::unknown(key) }) else {
            return;
        };
        let Entry { process, .. } = entry;
        process.image = Arc::new(params.image());
        process.memory = params.memory();
        set_place(process, place);
        set_common(process, params, boot_time);
        set_identity(process, params);
        // Who is its parent now may have adopted it: what the fork or an earlier record said stays.
        if process.ptid <= 0 {
            set(&mut process.ptid, params.signed("ptid"));
        }
        self.note_change();
    }

    /// Where a record says that its process is, if that differs from what was known.
    fn place(&mut self, params: Params, before: Option<Arc<[u8]>>) -> Option<Place> {
        let cgroups = params.list("cgroups");
        let same = cgroups.is_empty() || before.is_some_and(|before| *before == *cgroups);
        (!same).then(|| Place { cgroups: cgroups.into(), container: self.containers.of(cgroups) })
    }

    /// Nanoseconds since the Unix epoch.
    fn started(&self, params: Params, key: ProcessKey) -> u64 {
        match params.event.origin {
            Some(_) => self.boot_time.saturating_add(key.start),
            None => key.start,
        }
    }

    /// Calls that change one thing of a process.
    fn changed(&mut self, params: Params) {
        let cwd = told_cwd(params);
        let Some(entry) = self.key_of(params.event).and_then(|key| self.entry_mut(key)) else { return };
        let process = &mut entry.process;
        if let Some(cwd) = cwd {
            return set_cwd(process, cwd);
        }
        if !changes_itself(params.event.code) || params.signed("res").is_none_or(|res| res < 0) {
            return;
        }
        match params.event.code {
            code::SYSCALL_CHDIR_X => return set_cwd(process, params.text("path")),
            code::SYSCALL_FCHDIR_X => return went_to_fd(process, params),
            code::SYSCALL_SETUID_X => set(&mut process.uid, id(params, "uid")),
            code::SYSCALL_SETREUID_X | code::SYSCALL_SETRESUID_X => set(&mut process.uid, id(params, "euid")),
            code::SYSCALL_SETGID_X => set(&mut process.gid, id(params, "gid")),
            code::SYSCALL_SETREGID_X | code::SYSCALL_SETRESGID_X => set(&mut process.gid, id(params, "egid")),
            code::SYSCALL_SETSID_X => set(&mut process.sid, params.signed("res").filter(|sid| *sid > 0)),
            code::SYSCALL_CAPSET_X => set_capabilities(process, params),
            _ => entered(process, params),
        }
        self.note_change();
    }
}

/// The calls by which a process changes what events tell of it, but for those that tell all of it anew.
pub const CHANGES: [u16; 12] = [
    code::SYSCALL_CHDIR_X,
    code::SYSCALL_FCHDIR_X,
    code::SYSCALL_SETUID_X,
    code::SYSCALL_SETREUID_X,
    code::SYSCALL_SETRESUID_X,
    code::SYSCALL_SETGID_X,
    code::SYSCALL_SETREGID_X,
    code::SYSCALL_SETRESGID_X,
    code::SYSCALL_SETSID_X,
    code::SYSCALL_CAPSET_X,
    code::SYSCALL_UNSHARE_X,
    code::SYSCALL_SETNS_X,
];

fn changes_itself(event_code: u16) -> bool {
    CHANGES.contains(&event_code)
}

static DIRECTORY: ParamPlace = ParamPlace::new("dirpath");

/// A relative path tells where the process is now.
fn told_cwd(params: Params<'_>) -> Option<&[u8]> {
    let (at, _) = DIRECTORY.of(params.row)?;
    let directory = params.text_at(at);
    (directory.starts_with(b"/") && starts_at_cwd(params.event, params.row)).then_some(directory)
}

fn went_to_fd(process: &mut Process, params: Params) {
    let facts = FdFacts::of(params.event, params.row);
    if let Some(facts) = facts.filter(|facts| facts.kind == FdType::Directory) {
        set_cwd(process, &facts.name);
    }
}

/// The id that a call sets; `None` if it leaves that one as it is.
fn id(params: Params, name: &str) -> Option<u32> {
    params.word(name).filter(|id| *id != u32::MAX)
}

/// `unshare` and `setns`: in a user namespace of its own a process may do everything.
fn entered(process: &mut Process, params: Params) {
    if enters_user_namespace(params) {
        process.caps = Capabilities::ALL;
    }
}

/// The key of a process that begins; captures tell no start but the event's own time.
fn new_key(params: Params) -> Option<ProcessKey> {
    let pid = params.signed("pid").and_then(|pid| u32::try_from(pid).ok());
    params.event.origin.map(key).or(pid.map(|pid| ProcessKey { pid, start: params.event.ts }))
}

/// What is set here is no news to [`set_common`].
fn set_place(process: &mut Process, place: Option<Place>) {
    if let Some(Place { cgroups, container }) = place {
        process.cgroups = cgroups;
        process.container = container;
    }
}
