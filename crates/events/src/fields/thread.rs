//! `thread.*`: the thread that made the event.

use super::prelude::*;
use crate::{
    list::items,
    table::{CAPABILITY, Symbol, code},
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("thread.cap_permitted", CharBuf, SYSCALL, P(|r, _| capabilities(r.process()?.caps.permitted)), "Capabilities it may use").flags(COSTLY),
    row("thread.cap_inheritable", CharBuf, SYSCALL, P(|r, _| capabilities(r.process()?.caps.inheritable)), "Capabilities that programs it runs may keep").flags(COSTLY),
    row("thread.cap_effective", CharBuf, SYSCALL, P(|r, _| capabilities(r.process()?.caps.effective)), "Capabilities in force").flags(COSTLY),
    row("thread.pfmajor", Uint64, SYSCALL, S(|r, _| uint(r.process()?.memory.faults_major)), "Page faults that read a disk, at its last fork or exec"),
    row("thread.pfminor", Uint64, SYSCALL, S(|r, _| uint(r.process()?.memory.faults_minor)), "Page faults served from memory, at its last fork or exec"),
    row("thread.tid", Int64, SYSCALL, S(|r, _| int(r.event.tid)), "Thread id"),
    row("thread.ismain", Bool, SYSCALL, S(|r, _| boolean(r.is_main_thread()?)), "Whether it is the first thread of its process"),
    row("thread.vtid", Int64, SYSCALL, S(vtid), "Thread id inside its pid namespace"),
    row("thread.nametid", CharBuf, SYSCALL, S(nametid), "The process's name followed by the thread id").flags(HIDDEN | COSTLY),
    row("thread.exectime", RelTime, SYSCALL, S(|_, _| uint(0)), "Always 0: nobody measures slices of CPU time any more").flags(UNAVAILABLE),
    row("thread.totexectime", RelTime, SYSCALL, S(|r, _| r.process().and_then(|_| uint(0))), "Always 0: nobody measures slices of CPU time any more").flags(UNAVAILABLE),
    row("thread.cgroups", CharBuf, SYSCALL, S(cgroups), "Its control groups as `subsystem=path`").flags(COSTLY),
    row("thread.cgroup", CharBuf, SYSCALL, S(cgroup), "Its control group in one subsystem").needs(Key).flags(DOTTED_ARG),
    row("thread.cpu", Double, SYSCALL, S(cpu), "Always 0: nobody measures shares of a CPU any more").flags(UNAVAILABLE),
    row("thread.cpu.user", Double, SYSCALL, S(cpu), "Always 0: nobody measures shares of a CPU any more").flags(UNAVAILABLE),
    row("thread.cpu.system", Double, SYSCALL, S(cpu), "Always 0: nobody measures shares of a CPU any more").flags(UNAVAILABLE),
    row("thread.vmsize", Uint64, SYSCALL, S(|r, _| memory(r, |m| m.size)), "Virtual memory in kilobytes for the first thread, 0 for others"),
    row("thread.vmrss", Uint64, SYSCALL, S(|r, _| memory(r, |m| m.rss)), "Resident memory in kilobytes for the first thread, 0 for others"),
    row("thread.vmsize.b", Uint64, SYSCALL, S(|r, _| memory(r, |m| m.size.saturating_mul(1024))), "Virtual memory in bytes for the first thread, 0 for others").flags(HIDDEN),
    row("thread.vmrss.b", Uint64, SYSCALL, S(|r, _| memory(r, |m| m.rss.saturating_mul(1024))), "Resident memory in bytes for the first thread, 0 for others").flags(HIDDEN),
];

fn capabilities<'a>(set: u64) -> Option<Value<'a>> {
    let names: Vec<&str> =
        CAPABILITY.iter().filter(|c: &&Symbol| set & c.value != 0).map(|c| c.name).collect();
    owned(names.join(" "))
}

/// Of a thread that is not kept apart only what follows from the process's ids.
fn vtid<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let process = r.process()?;
    let vtid = if process.tid == r.event.tid {
        process.vtid
    } else if process.in_pid_namespace() {
        return None;
    } else {
        r.event.tid
    };
    (vtid >= 0).then_some(Value::Int(vtid))
}

fn nametid<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let name = &*r.process()?.comm;
    owned([name, r.event.tid.to_string().as_bytes()].concat())
}

fn cgroups<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let shown = items(&r.process()?.cgroups).filter_map(named_cgroup);
    let shown: Vec<Vec<u8>> = shown.map(|(subsystem, path)| [subsystem, path].join(&b'=')).collect();
    owned(shown.join(&b' ')).filter(|_| !shown.is_empty())
}

/// Subsystem and path; kernels call some subsystems by other names than users do.
fn named_cgroup(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = item.iter().position(|b| *b == b'=')?;
    let (subsystem, path) = item.split_at_checked(at)?;
    let name: &[u8] = match subsystem.strip_suffix(b"_cgroup").unwrap_or(subsystem) {
        b"perf" => b"perf_event",
        b"mem" => b"memory",
        b"io" => b"blkio",
        other => other,
    };
    Some((name, path.strip_prefix(b"=")?))
}

fn cgroup<'a>(r: &'a SyscallRecord<'_>, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let subsystem = arg?.text.as_bytes();
    let mut all = items(&r.process()?.cgroups).filter_map(named_cgroup);
    all.find(|(name, _)| *name == subsystem).map(|(_, path)| Value::text(path))
}

/// A recorder's report about a thread is the one kind of event that has these.
fn cpu<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    r.process().filter(|_| r.event.code == code::PROCINFO_E).map(|_| Value::Double(0.0))
}

fn memory<'a>(r: &SyscallRecord, part: fn(&crate::process::Memory) -> u64) -> Option<Value<'a>> {
    let of_process = part(&r.process()?.memory);
    uint(if r.is_main_thread()? { of_process } else { 0 })
}
