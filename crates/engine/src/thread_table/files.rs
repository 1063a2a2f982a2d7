//! Descriptors of files and of the kernel's other objects: opened, copied, closed.

use std::{borrow::Cow, sync::Arc};

use saker_events::{
    descriptor::{Descriptor, FdType, Layer},
    fd::{AT_FDCWD, O_DIRECTORY, UNKNOWN},
    open_call::OpenCall,
    param::{self, int},
    path,
    table::{FCNTL_COMMANDS, code, symbol_value},
};

use super::{ThreadTable, fds::KeptFd};
use crate::{params::Params, recent::Recent};

/// The bit of `file_flags`.
pub(super) const O_CLOEXEC: u64 = 1 << 12;
/// The bit of `file_flags`: the kernel tells it when the call returns.
const O_F_CREATED: u64 = 1 << 14;
/// `SOCK_CLOEXEC`, as the kernel has it.
const SOCK_CLOEXEC: u64 = 0o2_000_000;
/// The bit of `close_range_flags`.
const CLOSE_RANGE_CLOEXEC: u64 = 4;

/// What the start of a call said that opens, connects or runs a program; the exit uses it if it comes next.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Code of the event; 0 if there is none.
    pub code: u16,
    pub flags: u64,
    pub dirfd: i64,
    /// The path, or the bytes of an address.
    pub text: Vec<u8>,
}

/// The start of a call: kept for its exit.
pub(super) fn begun(table: &mut ThreadTable, params: Params) {
    let text = match params.event.code {
        code::SYSCALL_OPENAT_2_E | code::SYSCALL_OPENAT2_E | code::SYSCALL_EXECVEAT_E => params.text_at(1),
        code::SOCKET_CONNECT_E => params.event.param(1).unwrap_or_default(),
        _ => params.text_at(0),
    };
    let Some(thread) = table.threads.get_mut(params.event.tid) else { return };
    thread.opening.code = params.event.code;
    thread.opening.flags = params.number("flags").unwrap_or(0);
    thread.opening.dirfd = params.signed("dirfd").unwrap_or(AT_FDCWD);
    thread.opening.text.clear();
    thread.opening.text.extend_from_slice(text);
}

/// `open` and its like.
pub(super) fn opened(table: &mut ThreadTable, params: Params) {
    let call = OpenCall::of(params.event);
    let Some(number) = call.fd.filter(|fd| *fd >= 0) else { return };
    let tid = params.event.tid;
    let begun = table.threads.get(tid).map(|t| &t.opening);
    let begun =
        begun.filter(|b| b.code != 0 && b.code == params.event.code.wrapping_sub(1) && !b.text.is_empty());
    let (raw, flags, dirfd) = if let Some(begun) = begun {
        (Cow::Owned(begun.text.clone()), begun.flags | call.flags & O_F_CREATED, Some(begun.dirfd))
    } else {
        (Cow::Borrowed(param::told(call.name)), call.flags, call.dirfd)
    };
    let file = Opened { raw: &raw, flags, dev: call.dev, ino: call.ino, layer: call.layer };
    let file = if raw.starts_with(b"/") {
        table.files.share(&file)
    } else {
        let base = dirfd.map_or(Cow::Borrowed(&b""[..]), |dirfd| table.base(tid, dirfd));
        Arc::new(file.descriptor(&path::join(&base, &raw)))
    };
    table.make_fd(number, file, flags & O_CLOEXEC != 0);
}

/// What an open says of its file.
struct Opened<'a> {
    raw: &'a [u8],
    flags: u64,
    dev: u32,
    ino: u64,
    layer: Option<Layer>,
}

impl Opened<'_> {
    fn descriptor(&self, name: &[u8]) -> Descriptor {
        let name: Arc<[u8]> = name.into();
        Descriptor {
            kind: if self.flags & O_DIRECTORY == 0 { FdType::File } else { FdType::Directory },
            raw: if *name == *self.raw { Arc::clone(&name) } else { self.raw.into() },
            name,
            flags: self.flags,
            dev: self.dev,
            ino: self.ino,
            layer: self.layer,
            ..Descriptor::default()
        }
    }

    fn is(&self, file: &Descriptor) -> bool {
        (self.flags, self.dev, self.ino, self.layer) == (file.flags, file.dev, file.ino, file.layer)
    }
}

/// Files that are shared at most.
const MAX_SHARED: usize = 2048;

/// Files that were opened lately by absolute paths: opened again the same way, they are shared.
#[derive(Debug, Default)]
pub(super) struct Files(Recent<Arc<Descriptor>, MAX_SHARED>);

impl Files {
    fn share(&mut self, opened: &Opened) -> Arc<Descriptor> {
        let make = || Arc::new(opened.descriptor(&path::join(b"", opened.raw)));
        match self.0.place(opened.raw) {
            Some(Some(file)) if opened.is(file) => Arc::clone(file),
            Some(place) => Arc::clone(place.insert(make())),
            None => make(),
        }
    }
}

/// `eventfd` and others that make one thing without a path.
pub(super) fn made(table: &mut ThreadTable, params: Params, kind: FdType) {
    let Some(number) = params.signed_at(0).filter(|fd| *fd >= 0) else { return };
    let name = match kind {
        FdType::Memfd => params.told_at(1).to_vec(),
        FdType::Pidfd => format!("/proc/{}", params.signed("pid").unwrap_or(-1)).into_bytes(),
        _ => Vec::new(),
    };
    let file = Descriptor { name: name.into(), ..Descriptor::new(kind) };
    table.make_fd(number, file, closes_on_exec(params));
}

/// Whether the flags say that the descriptor is not for the next program.
pub(super) fn closes_on_exec(params: Params) -> bool {
    let flags = params.number("flags").unwrap_or(0);
    let Some((_, param)) = params.row.param("flags") else { return false };
    match param.symbols() {
        [] => flags & SOCK_CLOEXEC != 0,
        names => names.iter().any(|s| s.name.ends_with("CLOEXEC") && flags & s.value != 0),
    }
}

/// `pipe` and `pipe2`.
pub(super) fn piped(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) != Some(0) {
        return;
    }
    for end in [params.signed_at(1), params.signed_at(2)].into_iter().flatten() {
        let file = Descriptor { ino: params.at(3).unwrap_or(0), ..Descriptor::new(FdType::Pipe) };
        table.make_fd(end, file, closes_on_exec(params));
    }
}

/// `close`: taken away after the event.
pub(super) fn closed(table: &mut ThreadTable, params: Params) {
    let tid = params.event.tid;
    let [result, fd] = params.event.leading();
    let number = int(fd).filter(|_| int(result).is_some_and(|res| res >= 0));
    let known = number.filter(|fd| table.fd(tid, *fd).is_some());
    table.ended.fd = known.map(|fd| (tid, fd));
}

/// `close_range`.
pub(super) fn closed_range(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) != Some(0) {
        return;
    }
    let (Some(first), Some(last)) = (params.signed_at(1), params.signed_at(2)) else { return };
    let range = first..=last;
    let tid = params.event.tid;
    if params.at(3).is_some_and(|flags| flags & CLOSE_RANGE_CLOEXEC != 0) {
        table.close_on_exec(tid, &range);
    } else {
        table.retain_fds(tid, |fd, _| !range.contains(&fd));
    }
}

/// `dup`, `dup2` and `dup3`.
pub(super) fn copied(table: &mut ThreadTable, params: Params) {
    let close_on_exec =
        params.event.code == code::SYSCALL_DUP3_X && params.at(3).unwrap_or(0) & O_CLOEXEC != 0;
    copy(table, params, close_on_exec);
}

fn copy(table: &mut ThreadTable, params: Params, close_on_exec: bool) {
    let Some(number) = params.signed_at(0).filter(|fd| *fd >= 0) else { return };
    let old = params.signed_at(1).and_then(|old| table.fd(params.event.tid, old));
    let Some(file) = old.map(|old| Arc::clone(&old.file)) else { return };
    table.inherit_fd(number, KeptFd { file, close_on_exec });
}

/// `fcntl`.
pub(super) fn controlled(table: &mut ThreadTable, params: Params) {
    const DUP: u64 = symbol_value(FCNTL_COMMANDS, "F_DUPFD");
    const DUP_CLOEXEC: u64 = symbol_value(FCNTL_COMMANDS, "F_DUPFD_CLOEXEC");
    const SET: u64 = symbol_value(FCNTL_COMMANDS, "F_SETFD");
    let command = params.at(2).unwrap_or(0);
    if matches!(command, DUP | DUP_CLOEXEC) {
        copy(table, params, command == DUP_CLOEXEC);
    } else if command == SET && params.signed_at(0).is_some_and(|res| res >= 0) {
        let close = params.at(3).unwrap_or(0) & 1 != 0;
        let fd = params.signed_at(1).and_then(|fd| table.fd_mut(params.event.tid, fd));
        if let Some(fd) = fd {
            fd.close_on_exec = close;
        }
    }
}

/// `pidfd_getfd`: a copy of what another process has open.
pub(super) fn fetched(table: &mut ThreadTable, params: Params) {
    let Some(number) = params.signed_at(0).filter(|fd| *fd >= 0) else { return };
    let pidfd = params.signed_at(1).and_then(|fd| table.fd(params.event.tid, fd));
    let name = pidfd.and_then(|fd| std::str::from_utf8(&fd.file.name).ok());
    let pid = name.and_then(|name| name.strip_prefix("/proc/")?.parse().ok());
    let target = pid.zip(params.signed_at(2)).and_then(|(pid, fd)| table.fd(pid, fd));
    let Some(file) = target.map(|fd| Arc::clone(&fd.file)) else { return };
    table.inherit_fd(number, KeptFd { file, close_on_exec: true });
}

impl ThreadTable {
    /// What a relative path of a thread starts from.
    pub(super) fn base(&self, tid: i64, dirfd: i64) -> Cow<'_, [u8]> {
        if dirfd == AT_FDCWD {
            return Cow::Borrowed(self.cwd(tid));
        }
        let directory = self.fd(tid, dirfd).map(|fd| [&fd.file.name, &b"/"[..]].concat());
        directory.map_or(Cow::Borrowed(UNKNOWN), Cow::Owned)
    }

    /// The working directory of a thread's process.
    fn cwd(&self, tid: i64) -> &[u8] {
        let main = self.main_of(tid).and_then(|main| self.process(main));
        main.map_or(b"./", |main| &main.cwd)
    }
}
