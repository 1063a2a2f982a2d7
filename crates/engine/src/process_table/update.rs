//! What each event does to the table (scap-format.md §6).

use std::sync::Arc;

use saker_events::{
    Event,
    container::Container,
    fd::{number_of, starts_at_cwd, text_of},
    path,
    process::{Capabilities, Image, Memory, Process, ProcessKey, Processes},
    table::{CLONE_FLAGS, EventRow, ParamType, code, symbol_value},
};

use super::{Entry, ProcessTable, inherited, key};

/// An event with its row: its parameters by name.
#[derive(Clone, Copy)]
struct Params<'a> {
    event: &'a Event<'a>,
    row: &'static EventRow,
}

impl<'a> Params<'a> {
    fn number(&self, name: &str) -> Option<u64> {
        number_of(self.event, self.row, name)
    }

    fn signed(&self, name: &str) -> Option<i64> {
        self.number(name).map(u64::cast_signed)
    }

    fn word(&self, name: &str) -> Option<u32> {
        self.number(name).and_then(|n| u32::try_from(n).ok())
    }

    fn text(&self, name: &str) -> &'a [u8] {
        text_of(self.event, self.row, name)
    }

    /// A list of texts, separated by NUL.
    fn list(&self, name: &str) -> &'a [u8] {
        let index = self.row.param(name).filter(|(_, p)| p.ty == ParamType::Bytebuf).map(|(index, _)| index);
        index.and_then(|index| self.event.param(index)).unwrap_or_default()
    }

    fn memory(&self) -> Memory {
        let number = |name| self.number(name).unwrap_or(0);
        Memory {
            size: number("vm_size"),
            rss: number("vm_rss"),
            swap: number("vm_swap"),
            faults_major: number("pgft_maj"),
            faults_minor: number("pgft_min"),
        }
    }

    fn image(&self) -> Image {
        let exepath = self.text("trusted_exepath");
        let number = |name| self.number(name).unwrap_or(0);
        Image {
            exe: self.text("exe").into(),
            exepath: exepath.strip_suffix(b" (deleted)").unwrap_or(exepath).into(),
            args: self.list("args").into(),
            env: self.list("env").into(),
            flags: number("flags"),
            ino: number("exe_ino"),
            ctime: number("exe_ino_ctime"),
            mtime: number("exe_ino_mtime"),
        }
    }
}

/// The cgroups of a process and the container that they name.
struct Place {
    cgroups: Arc<[u8]>,
    container: Option<Arc<Container>>,
}

impl ProcessTable {
    /// Takes note of an event before rules see it: forks, execs, changes of directory, ids and sessions.
    pub fn before(&mut self, event: &Event) {
        let Some(row) = EventRow::of(event.code) else { return };
        self.update(Params { event, row });
        let unknown = self.of_event(event).is_none();
        self.counters.unknown = self.counters.unknown.saturating_add(u64::from(unknown));
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
        let thread = params.number("flags").unwrap_or(0) & symbol_value(CLONE_FLAGS, "CLONE_THREAD") != 0;
        if thread || params.signed("res") != Some(0) {
            return;
        }
        let Some(key) = new_key(params) else { return };
        let Some(ppid) = params.signed("ptid").and_then(|p| u32::try_from(p).ok()) else { return };
        let before = self.at(ppid, key.start).map(|parent| Arc::clone(&parent.cgroups));
        let place = self.place(params, before);
        let Some(entry) = self.entry_or(key, |table| table.child(params, key, ppid, place)) else { return };
        entry.process.ppid = ppid;
    }

    /// A new process: what it inherits from its parent, and what its record says.
    fn child(&self, params: Params, key: ProcessKey, ppid: u32, place: Option<Place>) -> Process {
        let parent = self.at(ppid, key.start);
        let mut child = parent.cloned().unwrap_or_else(|| Process::unknown(key));
        child.key = key;
        child.started = self.started(params, key);
        child.image = inherited(parent, params.text("exe"), params.list("args"));
        child.memory = params.memory();
        child.vpid = params.signed("vpid").unwrap_or(key.pid.into());
        set_common(&mut child, params, self.boot_time);
        set_place(&mut child, place);
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
        set_common(process, params, boot_time);
        set_place(process, place);
        set_identity(process, params);
        // Who is its parent now may have adopted it: what the fork or an earlier record said stays.
        if process.ppid == 0 {
            set(&mut process.ppid, params.signed("ptid").and_then(|pid| u32::try_from(pid).ok()));
        }
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
        let success = params.signed("res") == Some(0);
        let Some(entry) = self.key_of(params.event).and_then(|key| self.entry_mut(key)) else { return };
        let process = &mut entry.process;
        match params.event.code {
            code::SYSCALL_CHDIR_X if success => set_cwd(process, params.text("path")),
            // A relative path tells where the process is now.
            code::SYSCALL_OPEN_X
            | code::SYSCALL_OPENAT_2_X
            | code::SYSCALL_OPENAT2_X
            | code::SYSCALL_CREAT_X
                if starts_at_cwd(params.event, params.row) && params.text("dirpath").starts_with(b"/") =>
            {
                set_cwd(process, params.text("dirpath"));
            }
            code::SYSCALL_SETUID_X if success => set(&mut process.uid, params.word("uid")),
            code::SYSCALL_SETREUID_X | code::SYSCALL_SETRESUID_X if success => {
                set(&mut process.uid, params.word("euid"));
            }
            code::SYSCALL_SETGID_X if success => set(&mut process.gid, params.word("gid")),
            code::SYSCALL_SETREGID_X | code::SYSCALL_SETRESGID_X if success => {
                set(&mut process.gid, params.word("egid"));
            }
            code::SYSCALL_SETSID_X => set(&mut process.sid, params.signed("res").filter(|sid| *sid > 0)),
            _ => {}
        }
    }
}

/// The key of a process that begins; captures tell no start but the event's own time.
fn new_key(params: Params) -> Option<ProcessKey> {
    let pid = params.signed("pid").and_then(|pid| u32::try_from(pid).ok());
    params.event.origin.map(key).or(pid.map(|pid| ProcessKey { pid, start: params.event.ts }))
}

/// What forks and execs both say.
fn set_common(process: &mut Process, params: Params, boot_time: u64) {
    set_text(&mut process.comm, params.text("comm"));
    set(&mut process.uid, params.word("uid"));
    set(&mut process.gid, params.word("gid"));
    set(&mut process.vpid, params.signed("vpid"));
    set(&mut process.fdlimit, params.signed("fdlimit"));
    set(&mut process.pidns_start, params.number("pidns_init_start_ts").map(|t| t.saturating_add(boot_time)));
    set_cwd(process, params.text("cwd"));
}

/// What only an exec says.
fn set_identity(process: &mut Process, params: Params) {
    set(&mut process.tty, params.word("tty"));
    set(&mut process.vpgid, params.signed("vpgid"));
    set(&mut process.loginuid, params.word("loginuid"));
    set(&mut process.pgid, params.signed("pgid"));
    set(&mut process.sid, params.signed("sid"));
    let caps = ["cap_inheritable", "cap_permitted", "cap_effective"].map(|name| params.number(name));
    if let [Some(inheritable), Some(permitted), Some(effective)] = caps {
        process.caps = Capabilities { inheritable, permitted, effective };
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Texts that did not change stay shared with the parent's.
fn set_text(field: &mut Arc<[u8]>, text: &[u8]) {
    if !text.is_empty() && **field != *text {
        *field = text.into();
    }
}

fn set_cwd(process: &mut Process, path: &[u8]) {
    if path.is_empty() {
        return;
    }
    let mut cwd = path::join(&process.cwd, path).into_owned();
    if !cwd.ends_with(b"/") {
        cwd.push(b'/');
    }
    set_text(&mut process.cwd, &cwd);
}

fn set_place(process: &mut Process, place: Option<Place>) {
    if let Some(Place { cgroups, container }) = place {
        process.cgroups = cgroups;
        process.container = container;
    }
}
