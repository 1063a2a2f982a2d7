//! New threads and processes: `clone` and its like, told by the child and by its parent.

use std::sync::Arc;

use saker_events::{
    process::{Image, Process},
    table::{CLONE_FLAGS, code, symbol_value},
};

use super::{Thread, ThreadTable, exit::RECENT, key};
use crate::params::{Params, set, set_text};

const THREAD: u64 = symbol_value(CLONE_FLAGS, "CLONE_THREAD");
const IN_PIDNS: u64 = symbol_value(CLONE_FLAGS, "CLONE_CHILD_IN_PIDNS");
const NEW_PIDNS: u64 = symbol_value(CLONE_FLAGS, "CLONE_NEWPID");
const PARENT: u64 = symbol_value(CLONE_FLAGS, "CLONE_PARENT");
const VFORK: u64 = symbol_value(CLONE_FLAGS, "CLONE_VFORK");

/// Bits of `clone_flags`.
#[derive(Clone, Copy)]
pub(super) struct CloneFlags {
    bits: u64,
}

impl CloneFlags {
    fn of(params: Params) -> Self {
        Self { bits: params.number("flags").unwrap_or(0) }
    }

    fn is_thread(self) -> bool {
        self.bits & THREAD != 0
    }

    fn in_pidns(self) -> bool {
        self.bits & IN_PIDNS != 0
    }
}

/// The exit of a call that makes a thread.
pub(super) fn cloned(table: &mut ThreadTable, params: Params) {
    if params.event.tid < 0 {
        return;
    }
    match params.signed_at(0) {
        Some(0) => child(table, params),
        Some(tid) if tid > 0 => parent(table, params, tid),
        _ => {}
    }
}

/// The child's side, which counts.
fn child(table: &mut ThreadTable, params: Params) {
    let (tid, ts) = (params.event.tid, params.event.ts);
    let known = table.process(tid).map_or(0, |p| p.started);
    if known != 0 && ts.saturating_sub(known) < RECENT {
        return;
    }
    table.remove(tid);
    let flags = CloneFlags::of(params);
    let (pid, ptid) = (params.signed("pid").unwrap_or(-1), params.signed("ptid").unwrap_or(-1));
    let parent = if flags.is_thread() { pid } else { ptid };
    let ids = Ids {
        tid,
        pid,
        ptid,
        vtid: params.signed("vtid").unwrap_or(tid),
        vpid: params.signed("vpid").unwrap_or(-1),
    };
    add(table, params, &ids, parent, true);
    if let Some(thread) = table.threads.get_mut(tid) {
        thread.last_code = params.event.code;
    }
}

/// The parent's side, which counts only where the child's cannot have another idea of itself.
fn parent(table: &mut ThreadTable, params: Params, tid: i64) {
    let caller = params.event.tid;
    table.thread_or_unknown(caller, false);
    become_valid(table, params);
    let flags = CloneFlags::of(params);
    let elsewhere = flags.bits & (NEW_PIDNS | PARENT | VFORK) != 0;
    let vfork = matches!(params.event.code, code::SYSCALL_VFORK_20_X);
    let Some(process) = table.process(caller) else { return };
    if flags.in_pidns() || elsewhere || vfork || process.tid != process.vtid {
        return;
    }
    let (pid, ptid) = if flags.is_thread() { (process.pid, process.ptid) } else { (tid, caller) };
    let ended = table.ends.get(&tid);
    let just_ended =
        ended.is_some_and(|(who, when)| *who == ptid && params.event.ts.saturating_sub(*when) < RECENT);
    if just_ended || table.threads.get(tid).is_some_and(|t| t.inverted) {
        return;
    }
    table.remove(tid);
    add(table, params, &Ids { tid, pid, ptid, vtid: tid, vpid: pid }, caller, false);
}

/// An event of a thread that was met without its beginning may tell who it is.
fn become_valid(table: &mut ThreadTable, params: Params) {
    let tid = params.event.tid;
    if table.threads.get(tid).is_none_or(Thread::is_valid) {
        return;
    }
    let told = |name| params.signed(name).filter(|id| *id >= 0);
    // Otherwise it stays unknown, and nobody's child.
    let (Some(pid), Some(ptid)) = (told("pid"), told("ptid")) else { return };
    let Some(process) = table.process_mut(tid) else { return };
    (process.pid, process.ptid) = (pid, ptid);
    set(&mut process.vtid, params.signed("vtid"));
    set(&mut process.vpid, params.signed("vpid"));
    table.join(tid);
    table.note_change();
}

/// Who the new thread is.
struct Ids {
    tid: i64,
    pid: i64,
    ptid: i64,
    vtid: i64,
    vpid: i64,
}

fn add(table: &mut ThreadTable, params: Params, ids: &Ids, parent: i64, inverted: bool) {
    table.thread_or_unknown(parent, parent < 0);
    let flags = CloneFlags::of(params);
    let mut thread = Thread::new(begun(table, params, ids, parent));
    thread.inverted = inverted;
    let inherits = table.threads.get(parent).is_some_and(Thread::is_valid);
    if !flags.is_thread() && inherits {
        thread.fds = table.copy_fds(parent);
    }
    table.insert(thread);
    table.match_container(ids.tid, params.list("cgroups"));
}

/// What the record says of the new thread, and what it has from its parent.
fn begun(table: &ThreadTable, params: Params, ids: &Ids, parent: i64) -> Process {
    let flags = CloneFlags::of(params);
    let from = table.threads.get(parent).filter(|p| p.is_valid()).map(|p| &p.process);
    let mut new = from.cloned().unwrap_or_else(|| Process::unknown(key(ids.tid, params.event.ts)));
    new.key = key(ids.tid, params.event.ts);
    (new.tid, new.pid, new.ptid, new.vtid, new.vpid) = (ids.tid, ids.pid, ids.ptid, ids.vtid, ids.vpid);
    new.started = params.event.ts;
    new.in_pidns = flags.in_pidns();
    let main = table.threads.get(table.main_of(parent).unwrap_or(parent)).map(|t| &t.process);
    new.image = image(params, from, main);
    let comm = params.text("comm");
    set_text(&mut new.comm, if comm.is_empty() { params.told_at(1) } else { comm });
    new.cwd = main
        .filter(|_| !flags.is_thread() && from.is_some())
        .map_or_else(Arc::default, |m| Arc::clone(&m.cwd));
    new.memory = params.memory();
    set(&mut new.uid, params.word("uid"));
    set(&mut new.gid, params.word("gid"));
    set(&mut new.fdlimit, params.signed("fdlimit"));
    new.pidns_start = table.boot_time;
    if flags.in_pidns() || flags.bits & NEW_PIDNS != 0 || ids.tid != ids.vtid {
        let since_boot = params.number("pidns_init_start_ts").unwrap_or(0);
        new.pidns_start = table.boot_time.saturating_add(since_boot);
    }
    new
}

/// The parent's program with the words of the record; both are shared while they are the same.
fn image(params: Params, parent: Option<&Process>, main: Option<&Process>) -> Arc<Image> {
    let (exe, args) = (params.told_at(1), params.list("args"));
    let Some(parent) = parent else {
        return Arc::new(Image { exe: exe.into(), args: args.into(), ..Image::default() });
    };
    let old = &parent.image;
    let env = main.map_or(&old.env, |m| &m.image.env);
    if *old.exe == *exe && *old.args == *args && old.env == *env {
        return Arc::clone(old);
    }
    Arc::new(Image { exe: exe.into(), args: args.into(), env: env.clone(), ..Image::clone(old) })
}
