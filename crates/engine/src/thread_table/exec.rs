//! A new program.

use std::{borrow::Cow, sync::Arc};

use saker_events::{
    fd::UNKNOWN,
    path,
    process::{Capabilities, Image, Process},
    table::{EXECVEAT_FLAGS, code, symbol_value},
};

use super::{Thread, ThreadTable};
use crate::params::{Params, set, set_text};

/// The program is the directory descriptor itself.
const EMPTY_PATH: u64 = symbol_value(EXECVEAT_FLAGS, "AT_EMPTY_PATH");
/// What stands for a path that cannot be told.
const NOTHING: &[u8] = b"<NA>";

/// `execve` and `execveat` that succeeded.
pub(super) fn ran(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) != Some(0) {
        return;
    }
    let tid = params.event.tid;
    let exepath = exepath(table, params);
    let version = table.next_version();
    let Some(thread) = table.threads.get_mut(tid) else { return };
    thread.version = version;
    let (valid, parent) = (thread.is_valid(), !thread.children.is_empty());
    set(&mut thread.process.pid, params.signed("pid"));
    if !valid {
        identify(thread, params);
    }
    update(&mut thread.process, params, exepath);
    thread.ended = false;
    if parent || table.groups.get(&tid).is_none_or(|group| group.threads.as_slice() != [tid]) {
        table.note_change();
    }
    table.match_container(tid, params.list("cgroups"));
    table.join_again(tid, valid);
    table.retain_fds(tid, |_, fd| !fd.close_on_exec);
    drop_siblings(table, tid);
}

/// A thread met without its beginning.
fn identify(thread: &mut Thread, params: Params) {
    let process = &mut thread.process;
    set(&mut process.ptid, params.signed("ptid"));
    (process.vtid, process.vpid) = (process.tid, process.pid);
}

fn update(process: &mut Process, params: Params, exepath: Vec<u8>) {
    process.image = Arc::new(image(&process.image, params, exepath));
    if params.number("vm_swap").is_some() {
        process.memory = params.memory();
    }
    let comm = params.text("comm");
    set_text(&mut process.comm, if comm.is_empty() { params.told_at(1) } else { comm });
    set(&mut process.fdlimit, params.signed("fdlimit"));
    set(&mut process.tty, params.word("tty"));
    set(&mut process.vpgid, params.signed("vpgid"));
    set(&mut process.loginuid, params.word("loginuid"));
    set(&mut process.uid, params.word("uid"));
    set(&mut process.gid, params.word("gid"));
    process.pgid = params.signed("pgid").unwrap_or(-1);
    let caps = ["cap_inheritable", "cap_permitted", "cap_effective"].map(|name| params.number(name));
    if let [Some(inheritable), Some(permitted), Some(effective)] = caps {
        process.caps = Capabilities { inheritable, permitted, effective };
    }
}

/// What the record leaves out stays as it was.
fn image(old: &Image, params: Params, exepath: Vec<u8>) -> Image {
    let kept = |name, old| params.number(name).unwrap_or(old);
    let text = |name, old: &[u8]| match params.list(name) {
        [] => old.into(),
        new => Box::from(new),
    };
    Image {
        exe: params.told_at(1).into(),
        exepath: exepath.into(),
        args: params.list("args").into(),
        env: text("env", &old.env),
        flags: kept("flags", old.flags),
        ino: kept("exe_ino", old.ino),
        ctime: kept("exe_ino_ctime", old.ctime),
        mtime: kept("exe_ino_mtime", old.mtime),
        ..Image::default()
    }
}

/// The path as the kernel has it, or else as the call gave it, or else as it was.
fn exepath(table: &ThreadTable, params: Params) -> Vec<u8> {
    let trusted = params.text("trusted_exepath");
    let told = if trusted.is_empty() { called(table, params) } else { Some(trusted.to_vec()) };
    let old = || table.process(params.event.tid).map(|p| p.image.exepath.to_vec());
    let path = told.or_else(old).unwrap_or_default();
    path.strip_suffix(b" (deleted)").map(<[u8]>::to_vec).unwrap_or(path)
}

/// The path that the start of the call named, made absolute.
fn called(table: &ThreadTable, params: Params) -> Option<Vec<u8>> {
    let tid = params.event.tid;
    let thread = table.threads.get(tid)?;
    let begun = &thread.opening;
    let matches = matches!(
        (begun.code, params.event.code),
        (code::SYSCALL_EXECVE_19_E | code::SYSCALL_EXECVEAT_E, code::SYSCALL_EXECVE_19_X)
            | (code::SYSCALL_EXECVEAT_E, code::SYSCALL_EXECVEAT_X)
    );
    if !matches {
        return None;
    }
    let path = begun.text.as_slice();
    let at = begun.code == code::SYSCALL_EXECVEAT_E;
    let of_fd = at && begun.flags & EMPTY_PATH != 0;
    if path.is_empty() && !of_fd {
        return if at { Some(NOTHING.to_vec()) } else { None };
    }
    let absolute = path.starts_with(b"/");
    let base = if absolute { Cow::Borrowed(&b"."[..]) } else { table.base(tid, begun.dirfd) };
    if *base == *UNKNOWN {
        return Some(NOTHING.to_vec());
    }
    let (base, path): (&[u8], _) = if of_fd { (b"", &*base) } else { (&base, path) };
    Some(path::join(base, path).into_owned())
}

/// Only the thread that runs the program is left of its process.
fn drop_siblings(table: &mut ThreadTable, tid: i64) {
    let Some(pid) = table.process(tid).map(|p| p.pid).filter(|pid| *pid == tid) else { return };
    let threads = table.groups.get(&pid).map(|g| g.threads.clone()).unwrap_or_default();
    for sibling in threads.into_iter().filter(|t| *t != tid) {
        table.end(sibling, tid);
        table.remove_now(sibling);
    }
}

impl ThreadTable {
    /// Counts a thread as living, after it became known or came back.
    fn join_again(&mut self, tid: i64, was_valid: bool) {
        let Some(pid) = self.process(tid).map(|p| p.pid) else { return };
        if !was_valid {
            self.join(tid);
        }
        let alive = |t: &&i64| self.threads.get(**t).is_some_and(|t| !t.ended);
        let count = self.groups.get(&pid).map(|g| g.threads.iter().filter(alive).count());
        match (self.groups.get_mut(&pid), count) {
            (Some(group), Some(count)) => group.alive = count,
            _ => self.strays = true,
        }
    }
}
