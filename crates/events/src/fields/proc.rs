//! `proc.*`: the process that made the event, and its parents.

use saker_rules::spare;

use super::prelude::*;
use crate::{
    list::{items, join},
    process::{Process, lineage, starters},
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("proc.exe", CharBuf, SYSCALL, P(|r, _| exe(r.process()?)), "First word of the command line, `argv[0]`, as the caller chose it"),
    row("proc.pexe", CharBuf, SYSCALL, P(|r, _| exe(r.parent()?)), "`proc.exe` of the parent"),
    row("proc.aexe", CharBuf, SYSCALL, P(|r, arg| ancestors(r, arg, exe)), "`proc.exe` of an ancestor, or of any").takes(Index).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.exepath", CharBuf, SYSCALL, P(|r, _| exepath(r.process()?)), "Path of the executable as the kernel knows it"),
    row("proc.pexepath", CharBuf, SYSCALL, P(|r, _| exepath(r.parent()?)), "`proc.exepath` of the parent"),
    row("proc.aexepath", CharBuf, SYSCALL, P(|r, arg| ancestors(r, arg, exepath)), "`proc.exepath` of an ancestor, or of any").takes(Index).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.name", CharBuf, SYSCALL, P(|r, _| name(r.process()?)), "The task's name, at most 15 bytes; the process can change it"),
    row("proc.pname", CharBuf, SYSCALL, P(|r, _| name(r.parent()?)), "`proc.name` of the parent"),
    row("proc.aname", CharBuf, SYSCALL, P(|r, arg| ancestors(r, arg, name)), "`proc.name` of an ancestor, or of any").takes(Index).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.args", CharBuf, SYSCALL, P(args), "The command line without its first word, or one word of it, counted from 0 and empty beyond the last").takes(Index).flags(COSTLY),
    row("proc.aargs", CharBuf, SYSCALL, P(|r, arg| ancestors(r, arg, |p| owned(p.args()))), "`proc.args` of an ancestor, or of any").takes(Index).quantifier(Any).flags(COSTLY),
    row("proc.cmdline", CharBuf, SYSCALL, P(|r, _| Some(cmdline(r.process()?))), "`proc.name` and `proc.args`").flags(COSTLY),
    row("proc.pcmdline", CharBuf, SYSCALL, P(|r, _| Some(cmdline(r.parent()?))), "`proc.cmdline` of the parent").flags(COSTLY),
    row("proc.acmdline", CharBuf, SYSCALL, P(|r, arg| ancestors(r, arg, |process| Some(cmdline(process)))), "`proc.cmdline` of an ancestor, or of any").takes(Index).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.cmdnargs", Uint64, SYSCALL, P(|r, _| size(items(&r.process()?.image.args).count())), "Number of arguments"),
    row("proc.cmdlenargs", Uint64, SYSCALL, P(|r, _| size(items(&r.process()?.image.args).map(<[u8]>::len).sum())), "Bytes of all arguments together"),
    row("proc.exeline", CharBuf, SYSCALL, P(|r, _| owned(r.process()?.exeline())), "`proc.exe` and `proc.args`").flags(COSTLY),
    row("proc.env", CharBuf, SYSCALL, P(env), "The environment, or one variable of it").takes(Key).flags(COSTLY),
    row("proc.aenv", CharBuf, SYSCALL, P(aenv), "The environment of an ancestor or of any; by name, the nearest ancestor's value").takes(IndexOrKey).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.cwd", CharBuf, SYSCALL, S(|r, _| r.process().and_then(|_| text(r.cwd()))), "Working directory, with a slash at its end"),
    row("proc.loginshellid", Int64, SYSCALL, P(login_shell), "Process id of the oldest shell among the process and its ancestors").flags(COSTLY),
    row("proc.tty", Uint32, SYSCALL, P(|r, _| uint(r.process()?.tty.into())), "Controlling terminal; 0 without one"),
    row("proc.pid", Int64, SYSCALL, P(|r, _| int(r.process()?.pid)), "Process id"),
    row("proc.ppid", Int64, SYSCALL, P(|r, _| id(r.main()?.ptid)), "Process id of the parent"),
    row("proc.apid", Int64, SYSCALL, P(|r, arg| ancestors(r, arg, |p| id(p.pid))), "Process id of an ancestor, or of any").takes(Index).quantifier(Any).flags(NO_RHS | NO_TRANSFORMER | COSTLY),
    row("proc.vpid", Int64, SYSCALL, P(|r, _| id(r.process()?.vpid)), "Process id inside its pid namespace"),
    row("proc.pvpid", Int64, SYSCALL, P(|r, _| id(r.parent()?.vpid)), "`proc.vpid` of the parent"),
    row("proc.sid", Int64, SYSCALL, P(|r, _| int(r.process()?.sid)), "Session id"),
    row("proc.sname", CharBuf, SYSCALL, S(|r, _| leader(r, session, name)), "Name of the session's leader, or of the oldest ancestor in the session").flags(COSTLY),
    row("proc.sid.exe", CharBuf, SYSCALL, S(|r, _| leader(r, session, exe)), "`proc.exe` of the session's leader").flags(COSTLY),
    row("proc.sid.exepath", CharBuf, SYSCALL, S(|r, _| leader(r, session, exepath)), "`proc.exepath` of the session's leader").flags(COSTLY),
    row("proc.vpgid", Int64, SYSCALL, P(|r, _| int(r.process()?.vpgid)), "Process group id inside its pid namespace"),
    row("proc.vpgid.name", CharBuf, SYSCALL, S(|r, _| leader(r, virtual_group, name)), "Name of the process group's leader, by the id inside the pid namespace").flags(COSTLY),
    row("proc.vpgid.exe", CharBuf, SYSCALL, S(|r, _| leader(r, virtual_group, exe)), "`proc.exe` of the process group's leader, by the id inside the pid namespace").flags(COSTLY),
    row("proc.vpgid.exepath", CharBuf, SYSCALL, S(|r, _| leader(r, virtual_group, exepath)), "`proc.exepath` of the process group's leader, by the id inside the pid namespace").flags(COSTLY),
    row("proc.pgid", Int64, SYSCALL, P(|r, _| int(r.process()?.pgid)), "Process group id"),
    row("proc.pgid.name", CharBuf, SYSCALL, S(|r, _| leader(r, group, name)), "Name of the process group's leader").flags(COSTLY),
    row("proc.pgid.exe", CharBuf, SYSCALL, S(|r, _| leader(r, group, exe)), "`proc.exe` of the process group's leader").flags(COSTLY),
    row("proc.pgid.exepath", CharBuf, SYSCALL, S(|r, _| leader(r, group, exepath)), "`proc.exepath` of the process group's leader").flags(COSTLY),
    row("proc.duration", RelTime, SYSCALL, S(|r, _| age(r, r.process()?)), "Nanoseconds since the process was started"),
    row("proc.ppid.duration", RelTime, SYSCALL, S(parent_age), "Nanoseconds since the parent was started"),
    row("proc.pid.ts", RelTime, SYSCALL, S(|r, _| nonzero(r.process()?.started)), "When the process was started, nanoseconds since the Unix epoch"),
    row("proc.ppid.ts", RelTime, SYSCALL, S(|r, _| uint(r.parent()?.started)), "When the parent was started, nanoseconds since the Unix epoch"),
    row("proc.is_exe_writable", Bool, SYSCALL, P(|r, _| exe_flag(r, 1)), "Whether its user may write its executable"),
    row("proc.is_exe_upper_layer", Bool, SYSCALL, P(|r, _| exe_flag(r, 2)), "Whether its executable is in the writable layer of an overlay, so was not in the image"),
    row("proc.is_exe_lower_layer", Bool, SYSCALL, P(|r, _| exe_flag(r, 8)), "Whether its executable is in a read-only layer of an overlay"),
    row("proc.is_exe_from_memfd", Bool, SYSCALL, P(|r, _| exe_flag(r, 4)), "Whether its executable exists in memory only"),
    row("proc.is_sid_leader", Bool, SYSCALL, P(|r, _| r.process().and_then(|p| boolean(p.sid == p.vpid))), "Whether it leads its session"),
    row("proc.is_vpgid_leader", Bool, SYSCALL, P(|r, _| r.process().and_then(|p| boolean(p.vpgid == p.vpid))), "Whether it leads its process group, by the ids inside the pid namespace"),
    row("proc.is_pgid_leader", Bool, SYSCALL, P(|r, _| r.process().and_then(|p| boolean(p.pgid == p.pid))), "Whether it leads its process group"),
    row("proc.exe_ino", Int64, SYSCALL, P(|r, _| nonzero(r.process()?.image.ino).map(signed)), "Inode of its executable"),
    row("proc.exe_ino.ctime", AbsTime, SYSCALL, P(|r, _| nonzero(r.process()?.image.ctime)), "When the executable's inode changed, nanoseconds since the Unix epoch"),
    row("proc.exe_ino.mtime", AbsTime, SYSCALL, P(|r, _| nonzero(r.process()?.image.mtime)), "When the executable's content changed, nanoseconds since the Unix epoch"),
    row("proc.exe_ino.ctime_duration_proc_start", AbsTime, SYSCALL, S(|r, _| since_ctime(r, |p| p.started)), "Nanoseconds from the change of the executable's inode to the start of the process"),
    row("proc.exe_ino.ctime_duration_pidns_start", AbsTime, SYSCALL, S(|r, _| before_ctime(r, |p| p.pidns_start)), "Nanoseconds from the start of the pid namespace to the change of the executable's inode"),
    row("proc.pidns_init_start_ts", Uint64, SYSCALL, S(|r, _| nonzero(r.process().filter(|p| p.in_pid_namespace())?.pidns_start)), "When its pid namespace was started, if it is not the machine's own, nanoseconds since the Unix epoch"),
    row("proc.fdopencount", Uint64, SYSCALL, S(|r, _| size(r.descriptors()?)), "Number of open file descriptors").flags(COSTLY),
    row("proc.fdlimit", Int64, SYSCALL, S(|r, _| id(r.process()?.fdlimit)), "Number of file descriptors it may open"),
    row("proc.fdusage", Double, SYSCALL, S(fd_usage), "Open file descriptors in relation to the limit").flags(COSTLY),
    row("proc.vmsize", Uint64, SYSCALL, S(|r, _| uint(r.process()?.memory.size)), "Virtual memory in kilobytes, at its last fork or exec"),
    row("proc.vmrss", Uint64, SYSCALL, S(|r, _| uint(r.process()?.memory.rss)), "Resident memory in kilobytes, at its last fork or exec"),
    row("proc.vmswap", Uint64, SYSCALL, S(|r, _| uint(r.process()?.memory.swap)), "Swapped memory in kilobytes, at its last fork or exec"),
    row("proc.nthreads", Uint64, SYSCALL, S(|r, _| size(r.threads()?.all)), "Number of its threads").flags(COSTLY),
    row("proc.nchilds", Uint64, SYSCALL, S(|r, _| size(r.threads()?.others)), "Number of its threads without the first").flags(COSTLY),
    row("proc.stdin.type", CharBuf, SYSCALL, S(|r, _| text(r.standard(0)?.kind.name())), "Type of file descriptor 0").flags(COSTLY),
    row("proc.stdout.type", CharBuf, SYSCALL, S(|r, _| text(r.standard(1)?.kind.name())), "Type of file descriptor 1").flags(COSTLY),
    row("proc.stderr.type", CharBuf, SYSCALL, S(|r, _| text(r.standard(2)?.kind.name())), "Type of file descriptor 2").flags(COSTLY),
    row("proc.stdin.name", CharBuf, SYSCALL, S(|r, _| standard_name(r, 0)), "Name of file descriptor 0").flags(COSTLY),
    row("proc.stdout.name", CharBuf, SYSCALL, S(|r, _| standard_name(r, 1)), "Name of file descriptor 1").flags(COSTLY),
    row("proc.stderr.name", CharBuf, SYSCALL, S(|r, _| standard_name(r, 2)), "Name of file descriptor 2").flags(COSTLY),
    row("proc.is_container_healthcheck", Bool, SYSCALL, NONE, "Whether it is the container's health check").flags(DEPRECATED),
    row("proc.is_container_liveness_probe", Bool, SYSCALL, NONE, "Whether it is the container's liveness probe").flags(DEPRECATED),
    row("proc.is_container_readiness_probe", Bool, SYSCALL, NONE, "Whether it is the container's readiness probe").flags(DEPRECATED),
];

/// Generations that `proc.aenv[NAME]` looks at.
const AENV_DEPTH: usize = 20;

fn exe(process: &Process) -> Option<Value<'_>> {
    text(&*process.image.exe)
}

fn exepath(process: &Process) -> Option<Value<'_>> {
    text(&*process.image.exepath)
}

fn name(process: &Process) -> Option<Value<'_>> {
    text(&*process.comm)
}

fn cmdline(process: &Process) -> Value<'_> {
    Value::Text(process.cmdline())
}

/// Ids below zero are unknown.
fn id<'a>(id: i64) -> Option<Value<'a>> {
    (id >= 0).then_some(Value::Int(id))
}

fn signed(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Uint(n) => Value::Int(n.cast_signed()),
        other => other,
    }
}

/// With an index that generation, 0 being the process itself; without, all from the parent upwards.
fn ancestors<'a>(
    r: &'a SyscallRecord<'_>,
    arg: Option<&FieldArg>,
    value: fn(&'a Process) -> Option<Value<'a>>,
) -> Option<Value<'a>> {
    let Some(arg) = arg else {
        return list(starters(r.process(), r.processes).skip(1).filter_map(value));
    };
    let mut all = lineage(r.process(), r.processes);
    all.nth(usize::try_from(arg.index?).ok()?).and_then(value)
}

fn list<'a>(values: impl Iterator<Item = Value<'a>>) -> Option<Value<'a>> {
    let mut list = spare::list();
    list.extend(values);
    (!list.is_empty()).then_some(Value::List(list))
}

fn args<'a>(r: &'a SyscallRecord<'_>, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let process = r.process()?;
    let Some(arg) = arg else { return owned(process.args()) };
    let word = items(&process.image.args).nth(usize::try_from(arg.index?).ok()?);
    text(word.unwrap_or_default())
}

fn env<'a>(r: &'a SyscallRecord<'_>, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let process = r.main().or(r.process())?;
    let Some(arg) = arg else { return owned(join(&process.image.env)) };
    text(process.env(arg.text.as_bytes()).unwrap_or_default())
}

fn aenv<'a>(r: &'a SyscallRecord<'_>, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    match arg {
        Some(FieldArg { index: None, text: name }) => {
            let mut all = lineage(r.process(), r.processes).skip(1).take(AENV_DEPTH);
            all.find_map(|p| p.env(name.as_bytes())).map(Value::text)
        }
        _ => ancestors(r, arg, |p| owned(join(&p.image.env))),
    }
}

fn login_shell<'a>(r: &'a SyscallRecord<'_>, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let shells = lineage(r.process(), r.processes).filter(|p| p.comm.ends_with(b"sh"));
    int(shells.last()?.pid)
}

/// A kind of process group: the id, and whether it is that of a pid namespace.
type Group = fn(&Process) -> (i64, bool);

fn session(process: &Process) -> (i64, bool) {
    (process.sid, process.in_pid_namespace())
}

fn virtual_group(process: &Process) -> (i64, bool) {
    (process.vpgid, process.in_pid_namespace())
}

fn group(process: &Process) -> (i64, bool) {
    (process.pgid, false)
}

/// The process with the group's id, or else the oldest of its ancestors in the group (scap-format.md §8).
fn leader<'a>(
    r: &'a SyscallRecord<'_>,
    group: Group,
    value: fn(&'a Process) -> Option<Value<'a>>,
) -> Option<Value<'a>> {
    let process = r.process()?;
    let (id, virtual_id) = group(process);
    if id < 0 {
        return text("");
    }
    let by_id = r.processes.by_tid(id).filter(|_| !virtual_id);
    let oldest = || lineage(Some(process), r.processes).skip(1).take_while(|p| group(p).0 == id).last();
    by_id.or_else(oldest).map_or_else(|| text(""), value)
}

fn age<'a>(r: &SyscallRecord, process: &Process) -> Option<Value<'a>> {
    // Clocks are read apart: a process that just started may seem younger than its first event.
    let age = r.header.ts.saturating_sub(process.started);
    (process.started != 0).then_some(Value::Uint(age))
}

/// Falco leaves what stands in the same memory where the parent's start is not known, and that is the number of
/// open descriptors.
fn parent_age<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let parent = r.parent()?;
    age(r, parent).or_else(|| size(r.descriptors()?))
}

fn exe_flag<'a>(r: &SyscallRecord, flag: u64) -> Option<Value<'a>> {
    boolean(r.process()?.image.flags & flag != 0)
}

fn since_ctime<'a>(r: &SyscallRecord, start: fn(&Process) -> u64) -> Option<Value<'a>> {
    let process = r.process()?;
    uint(start(process).checked_sub(process.image.ctime).filter(|_| process.image.ctime != 0)?)
}

fn before_ctime<'a>(r: &SyscallRecord, start: fn(&Process) -> u64) -> Option<Value<'a>> {
    let process = r.process()?;
    uint(process.image.ctime.checked_sub(start(process)).filter(|_| start(process) != 0)?)
}

/// Percent of the limit.
fn fd_usage<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let open = u32::try_from(r.descriptors()?).ok()?;
    let limit = u32::try_from(r.process()?.fdlimit).unwrap_or(0);
    Some(Value::Double(if limit == 0 { 0.0 } else { f64::from(open) * 100.0 / f64::from(limit) }))
}

/// Of standard input, output or error.
fn standard_name<'a>(r: &'a SyscallRecord<'_>, number: u8) -> Option<Value<'a>> {
    text(&*r.standard(number)?.name)
}
