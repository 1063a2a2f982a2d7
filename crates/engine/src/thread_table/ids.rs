//! What a process changes of itself: directory, ids, capabilities, limits, memory.

use saker_events::{
    path,
    process::Capabilities,
    table::{PRCTL_OPTIONS, code, symbol_value},
};

use super::ThreadTable;
use crate::params::{self, Params, enters_user_namespace, set, set_text};

/// `RLIMIT_NOFILE`.
const NOFILE: u64 = 7;

/// `chdir` and `getcwd`.
pub(super) fn moved(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0).is_some_and(|res| res >= 0) {
        set_cwd(table, params.event.tid, params.told_at(1));
    }
}

/// `fchdir`.
pub(super) fn moved_to_fd(table: &mut ThreadTable, params: Params) {
    let tid = params.event.tid;
    let fd = params.signed_at(1).filter(|_| params.signed_at(0).is_some_and(|res| res >= 0));
    let Some(directory) = fd.and_then(|fd| table.fd(tid, fd)).map(|fd| fd.file.name.clone()) else { return };
    set_cwd(table, tid, &directory);
}

/// A thread that is not the first starts from nowhere, as upstream has it.
fn set_cwd(table: &mut ThreadTable, tid: i64, to: &[u8]) {
    let Some(main) = table.main_mut(tid) else { return };
    let own: &[u8] = if main.process.tid == tid { &main.process.cwd } else { b"" };
    let mut cwd = path::join(own, to).into_owned();
    if !cwd.ends_with(b"/") {
        cwd.push(b'/');
    }
    set_text(&mut main.process.cwd, &cwd);
}

/// `setuid` and its like: the argument is taken as it is.
pub(super) fn set_uid(table: &mut ThreadTable, params: Params, at: usize) {
    if params.signed_at(0) == Some(0)
        && let Some(process) = table.process_mut(params.event.tid)
    {
        set(&mut process.uid, params.at(at).and_then(|id| u32::try_from(id).ok()));
    }
}

/// `setgid` and its like.
pub(super) fn set_gid(table: &mut ThreadTable, params: Params, at: usize) {
    if params.signed_at(0) == Some(0)
        && let Some(process) = table.process_mut(params.event.tid)
    {
        set(&mut process.gid, params.at(at).and_then(|id| u32::try_from(id).ok()));
    }
}

/// `setsid`.
pub(super) fn set_session(table: &mut ThreadTable, params: Params) {
    if let Some(process) = table.process_mut(params.event.tid) {
        set(&mut process.sid, params.signed_at(0).filter(|sid| *sid >= 0));
    }
}

/// `capset`.
pub(super) fn set_capabilities(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) == Some(0)
        && let Some(process) = table.process_mut(params.event.tid)
    {
        params::set_capabilities(process, params);
    }
}

/// `unshare` and `setns`.
pub(super) fn entered(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) == Some(0)
        && enters_user_namespace(params)
        && let Some(process) = table.process_mut(params.event.tid)
    {
        process.caps = Capabilities::ALL;
    }
}

/// `setrlimit`, `getrlimit` and `prlimit`.
pub(super) fn limited(table: &mut ThreadTable, params: Params) {
    let resource = params.number("resource");
    if params.signed_at(0).is_none_or(|res| res < 0) || resource != Some(NOFILE) {
        return;
    }
    let tid = match params.signed("pid") {
        Some(pid) if pid > 0 => pid,
        _ => params.event.tid,
    };
    let prlimit = params.event.code == code::SYSCALL_PRLIMIT_X;
    let new = params.signed(if prlimit { "newcur" } else { "cur" }).filter(|new| *new != -1);
    if let Some(main) = table.main_mut(tid) {
        set(&mut main.process.fdlimit, new);
    }
}

/// `prctl`, where it makes a process take in the children of others.
pub(super) fn controlled(table: &mut ThreadTable, params: Params) {
    let option = params.at(1);
    let is = |name| option == Some(symbol_value(PRCTL_OPTIONS, name));
    if params.signed_at(0) == Some(0) && (is("PR_SET_CHILD_SUBREAPER") || is("PR_GET_CHILD_SUBREAPER")) {
        table.set_reaper(params.event.tid, params.signed_at(3).is_some_and(|arg| arg != 0));
    }
}

/// `brk`, `mmap` and `munmap`.
pub(super) fn mapped(table: &mut ThreadTable, params: Params) {
    let Some(thread) = table.threads.get_mut(params.event.tid) else { return };
    let memory = &mut thread.process.memory;
    set(&mut memory.size, params.at(1));
    set(&mut memory.rss, params.at(2));
    set(&mut memory.swap, params.at(3));
}

/// `switch`: page faults of the thread that stopped running, memory of its process.
pub(super) fn switched(table: &mut ThreadTable, params: Params) {
    let tid = params.event.tid;
    if let Some(thread) = table.threads.get_mut(tid) {
        set(&mut thread.process.memory.faults_major, params.at(1));
        set(&mut thread.process.memory.faults_minor, params.at(2));
    }
    if let Some(main) = table.main_mut(tid) {
        set(&mut main.process.memory.size, params.at(3));
        set(&mut main.process.memory.rss, params.at(4));
        set(&mut main.process.memory.swap, params.at(5));
    }
}
