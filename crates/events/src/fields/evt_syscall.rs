//! `evt.*` of system calls.

use super::prelude::*;
use crate::{
    descriptor::FdType,
    table::{Category, event_flags as event},
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("evt.latency", RelTime, SYSCALL, NONE, "Nanoseconds between the call's start and end").flags(DEPRECATED),
    row("evt.latency.s", RelTime, SYSCALL, NONE, "Whole seconds between the call's start and end").flags(DEPRECATED),
    row("evt.latency.ns", RelTime, SYSCALL, NONE, "Nanoseconds of the call's duration beyond the whole second").flags(DEPRECATED),
    row("evt.latency.quantized", Uint64, SYSCALL, NONE, "Logarithm of the call's duration").flags(DEPRECATED | HIDDEN),
    row("evt.latency.human", CharBuf, SYSCALL, NONE, "The call's duration with a unit").flags(DEPRECATED),
    row("evt.deltatime", RelTime, SYSCALL, H(|h, _| uint(h.since_previous())), "Nanoseconds since the event before"),
    row("evt.deltatime.s", RelTime, SYSCALL, H(|h, _| seconds(h.since_previous())), "Whole seconds since the event before"),
    row("evt.deltatime.ns", RelTime, SYSCALL, H(|h, _| nanoseconds(h.since_previous())), "Nanoseconds since the event before, beyond the whole second"),
    row("evt.outputtime", CharBuf, SYSCALL, H(|h, _| time(h.ts, "%H:%M:%S.%9f")), "The time as outputs show it").flags(HIDDEN | COSTLY),
    row("evt.dir", CharBuf, SYSCALL, S(|r, _| text(if r.row.enter { ">" } else { "<" })), "`>` when a call starts, `<` when it ends").flags(DEPRECATED),
    row("evt.type", CharBuf, SYSCALL, S(|r, _| text(r.type_name()?)), "Name of the event, most often of the system call"),
    row("evt.type.is", Uint32, SYSCALL, S(type_is), "1 if the event is of the named type, else 0").needs(EventType).flags(DOTTED_ARG),
    row("syscall.type", CharBuf, SYSCALL, S(|r, _| text(r.type_name().filter(|_| r.is_syscall())?)), "Name of the system call; absent for other events"),
    row("evt.category", CharBuf, SYSCALL, S(|r, _| text(r.category())), "What the event works on: `file`, `net`, `process`, `memory` and so on"),
    row("evt.cpu", Int16, SYSCALL, S(|r, _| int(i64::from(r.event.cpu))), "The CPU it happened on"),
    row("evt.args", CharBuf, SYSCALL, S(|r, _| owned(r.args_text())), "All arguments as `name=value`").flags(COSTLY),
    row("evt.arg", CharBuf, SYSCALL, S(|r, arg| r.arg_text(arg?)), "One argument as text, by name or position").needs(Parameter).flags(DOTTED_ARG | COSTLY),
    row("evt.rawarg", Dynamic, SYSCALL, S(|r, arg| r.arg_value(arg?)), "One argument in its own type, by name or position").needs(Parameter).flags(DOTTED_ARG | NO_RHS | NO_TRANSFORMER),
    row("evt.info", CharBuf, SYSCALL, S(|r, _| owned(r.args_text())), "The same as `evt.args`").flags(COSTLY),
    row("evt.buffer", ByteBuf, SYSCALL, S(|r, _| Some(Value::Bytes(r.buffer()?.into()))), "The data that was read or written"),
    row("evt.buflen", Uint64, SYSCALL, S(|r, _| uint(r.buffer_length()?)), "Bytes that were read or written"),
    row("evt.res", CharBuf, SYSCALL, S(|r, _| text(r.result_name()?)), "`SUCCESS`, or the name of the error"),
    row("evt.rawres", Int64, SYSCALL, S(|r, _| int(r.result()?)), "The result as a number; negative for errors"),
    row("evt.failed", Bool, SYSCALL, S(|r, _| boolean(r.result()? < 0)), "Whether the call failed"),
    row("evt.is_io", Bool, SYSCALL, S(|r, _| boolean(r.row.any(event::READS_FROM_FD | event::WRITES_TO_FD))), "Whether it reads or writes a file descriptor"),
    row("evt.is_io_read", Bool, SYSCALL, S(|r, _| boolean(r.row.any(event::READS_FROM_FD))), "Whether it reads a file descriptor"),
    row("evt.is_io_write", Bool, SYSCALL, S(|r, _| boolean(r.row.any(event::WRITES_TO_FD))), "Whether it writes a file descriptor"),
    row("evt.io_dir", CharBuf, SYSCALL, S(io_dir), "`read` or `write` for calls that move data"),
    row("evt.is_wait", Bool, SYSCALL, S(|r, _| boolean(r.row.any(event::WAITS))), "Whether the call waits, as `poll` does"),
    row("evt.wait_latency", RelTime, SYSCALL, NONE, "Nanoseconds that a waiting call took").flags(DEPRECATED),
    row("evt.is_syslog", Bool, SYSCALL, S(is_syslog), "Whether it writes to `/dev/log`"),
    row("evt.count", Uint32, SYSCALL, S(|_, _| uint(1)), "Always 1"),
    row("evt.count.error", Uint32, SYSCALL, S(|r, _| failed(r)), "1 if the call failed, else 0"),
    row("evt.count.error.file", Uint32, SYSCALL, S(|r, _| count_error(r, ErrorKind::File)), "1 if a call on files failed"),
    row("evt.count.error.net", Uint32, SYSCALL, S(|r, _| count_error(r, ErrorKind::Net)), "1 if a call on sockets failed"),
    row("evt.count.error.memory", Uint32, SYSCALL, S(|r, _| count_error(r, ErrorKind::Memory)), "1 if a call for memory failed"),
    row("evt.count.error.other", Uint32, SYSCALL, S(|r, _| count_error(r, ErrorKind::Other)), "1 if any other call failed"),
    row("evt.count.exit", Uint32, SYSCALL, S(|r, _| at_exit(r, true)), "1 when a call ends"),
    row("evt.count.procinfo", Uint32, SYSCALL, NONE, "1 for reports about a process's first thread").flags(HIDDEN),
    row("evt.count.threadinfo", Uint32, SYSCALL, NONE, "1 for reports about a thread").flags(HIDDEN),
    row("evt.around", Uint64, SYSCALL, NONE, "Whether the event is within a number of milliseconds of a time").needs(Index).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("evt.abspath", CharBuf, SYSCALL, S(abspath), "Absolute path made of a directory and a relative path; `.src` and `.dst` where a call has two").takes(Word(&["src", "dst"])).flags(DOTTED_ARG | COSTLY),
    row("evt.buflen.in", Uint64, SYSCALL, S(|r, _| uint(r.buffer_length().filter(|_| r.row.any(event::READS_FROM_FD))?)), "Bytes that were read").flags(HIDDEN),
    row("evt.buflen.out", Uint64, SYSCALL, S(|r, _| uint(r.buffer_length().filter(|_| r.row.any(event::WRITES_TO_FD))?)), "Bytes that were written").flags(HIDDEN),
    row("evt.buflen.file", Uint64, SYSCALL, NONE, "Bytes read from or written to a file").flags(HIDDEN),
    row("evt.buflen.file.in", Uint64, SYSCALL, NONE, "Bytes read from a file").flags(HIDDEN),
    row("evt.buflen.file.out", Uint64, SYSCALL, NONE, "Bytes written to a file").flags(HIDDEN),
    row("evt.buflen.net", Uint64, SYSCALL, NONE, "Bytes received from or sent to a socket").flags(HIDDEN),
    row("evt.buflen.net.in", Uint64, SYSCALL, NONE, "Bytes received from a socket").flags(HIDDEN),
    row("evt.buflen.net.out", Uint64, SYSCALL, NONE, "Bytes sent to a socket").flags(HIDDEN),
    row("evt.is_open_read", Bool, SYSCALL, S(|r, _| boolean(r.opens_to_read())), "Whether a file is opened for reading"),
    row("evt.is_open_write", Bool, SYSCALL, S(|r, _| boolean(r.opens_to_write())), "Whether a file is opened for writing"),
    row("evt.infra.docker.name", CharBuf, SYSCALL, NONE, "Name of an event of the Docker daemon").flags(HIDDEN),
    row("evt.infra.docker.container.id", CharBuf, SYSCALL, NONE, "Container id of an event of the Docker daemon").flags(HIDDEN),
    row("evt.infra.docker.container.name", CharBuf, SYSCALL, NONE, "Container name of an event of the Docker daemon").flags(HIDDEN),
    row("evt.infra.docker.container.image", CharBuf, SYSCALL, NONE, "Container image of an event of the Docker daemon").flags(HIDDEN),
    row("evt.is_open_exec", Bool, SYSCALL, S(|r, _| boolean(is_open_exec(r))), "Whether a file is created with a permission to execute"),
    row("evt.is_open_create", Bool, SYSCALL, S(|r, _| boolean(is_open_create(r))), "Whether the call created the file"),
];

// Bits of `file_flags` (scap-format.md §9).
const O_CREAT: u64 = 1 << 2;
const O_TMPFILE: u64 = 1 << 13;
const O_F_CREATED: u64 = 1 << 14;
/// Execute for user, group or others.
const ANY_EXECUTE: u64 = 0o111;

/// The groups in which failures are counted.
#[derive(Clone, Copy, PartialEq)]
enum ErrorKind {
    File,
    Net,
    Memory,
    Other,
}

/// 1 or 0 when a call ends; absent when it starts.
fn at_exit<'a>(r: &SyscallRecord, value: bool) -> Option<Value<'a>> {
    (!r.row.enter).then(|| Value::Uint(u64::from(value)))
}

/// Whether the call failed, 1 or 0; absent without a result.
fn failed<'a>(r: &SyscallRecord) -> Option<Value<'a>> {
    uint(u64::from(r.result()? < 0))
}

/// 1 if a call failed that counts in the group, 0 if it did not; absent for other calls and without a result.
fn count_error<'a>(r: &SyscallRecord, kind: ErrorKind) -> Option<Value<'a>> {
    let counts = match kind {
        ErrorKind::Memory => r.row.category == Category::Memory,
        _ => error_kind(r) == kind,
    };
    failed(r).filter(|_| counts)
}

/// Calls on a known descriptor count for what it is; a call that makes one, for what it would have been.
fn error_kind(r: &SyscallRecord) -> ErrorKind {
    let known = r.fd().and_then(|fd| fd.kind);
    let opens = r.is_creat() || r.open_flags().is_some();
    if opens || known.is_some_and(FdType::is_file) {
        ErrorKind::File
    } else if known.is_some_and(FdType::is_socket) || matches!(r.row.name, "connect" | "accept" | "accept4") {
        ErrorKind::Net
    } else if r.row.category == Category::Memory {
        ErrorKind::Memory
    } else {
        ErrorKind::Other
    }
}

fn abspath<'a>(r: &'a SyscallRecord<'_>, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    r.abspath(arg)
}

fn type_is<'a>(r: &SyscallRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let arg = arg?;
    let same = r.type_name() == Some(&arg.text) || arg.index == Some(u32::from(r.row.code));
    uint(u64::from(same))
}

fn io_dir<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let reads = r.row.any(event::READS_FROM_FD);
    let writes = r.row.any(event::WRITES_TO_FD);
    (reads || writes).then(|| Value::text(if reads { "read" } else { "write" }))
}

fn is_syslog<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let log = || r.fd().is_some_and(|fd| fd.name.as_deref().is_some_and(|name| name.ends_with(b"/dev/log")));
    boolean(r.row.any(event::WRITES_TO_FD) && log())
}

fn is_open_exec(r: &SyscallRecord) -> bool {
    let creates = r.is_creat() || r.open_flags().is_some_and(|f| f & (O_CREAT | O_TMPFILE) != 0);
    creates && r.number("mode").is_some_and(|mode| mode & ANY_EXECUTE != 0)
}

fn is_open_create(r: &SyscallRecord) -> bool {
    let Some(flags) = r.open_flags() else { return false };
    flags & O_F_CREATED != 0 || (flags & O_TMPFILE != 0 && !r.failed())
}
