//! Threads that run, from the events with which the probe tells of processes and from `/proc` for the others.

use std::fs;

use saker_events::{
    Event,
    param::{self, Number},
    table::{EXECVE_FLAGS, EventRow, symbol_value},
};

use super::bytes;
use crate::ListedProcess;

/// The bits of `clone_flags` that every thread of a process has beside its first: FILES and THREAD.
const THREAD_FLAGS: u32 = 1 | 8192;

/// Values of one event by the names of its parameters.
struct Named<'a> {
    event: &'a Event<'a>,
    row: &'static EventRow,
}

impl Named<'_> {
    fn number(&self, name: &str) -> Option<Number> {
        let (at, row) = self.row.param(name)?;
        param::number(row.ty, self.event.param(at)?)
    }

    fn id(&self, name: &str) -> i64 {
        self.number(name).map_or(-1, Number::signed)
    }

    fn u64(&self, name: &str) -> u64 {
        self.number(name).map_or(0, Number::bits)
    }

    fn u32(&self, name: &str, missing: u32) -> u32 {
        self.number(name).and_then(|n| u32::try_from(n.bits()).ok()).unwrap_or(missing)
    }

    fn list(&self, name: &str) -> Vec<u8> {
        self.row.param(name).and_then(|(at, _)| self.event.param(at)).unwrap_or_default().to_vec()
    }

    fn text(&self, name: &str) -> Vec<u8> {
        param::text(&self.list(name)).to_vec()
    }
}

impl ListedProcess {
    /// The process that an `execve` event tells of; `boot_ts` is when the machine started.
    pub(crate) fn of_exec(event: &Event, boot_ts: u64) -> Option<Self> {
        let named = Named { event, row: EventRow::of(event.code)? };
        let flag = |name| u64::from(named.u32("flags", 0)) & symbol_value(EXECVE_FLAGS, name) != 0;
        let pidns = named.u64("pidns_init_start_ts");
        Some(Self {
            tid: event.tid,
            pid: named.id("pid"),
            ptid: named.id("ptid"),
            sid: named.id("sid"),
            vpgid: named.id("vpgid"),
            comm: named.text("comm"),
            exe: named.text("exe"),
            exepath: named.text("trusted_exepath"),
            args: named.list("args"),
            cwd: named.text("cwd"),
            fdlimit: named.u64("fdlimit"),
            flags: 0,
            uid: named.u32("uid", u32::MAX),
            gid: named.u32("gid", u32::MAX),
            vmsize_kb: named.u32("vm_size", 0),
            vmrss_kb: named.u32("vm_rss", 0),
            vmswap_kb: named.u32("vm_swap", 0),
            pfmajor: named.u64("pgft_maj"),
            pfminor: named.u64("pgft_min"),
            env: named.list("env"),
            vtid: named.id("vtid"),
            vpid: named.id("vpid"),
            cgroups: named.list("cgroups"),
            root: root_of(event.tid),
            pidns_init_start_ts: if pidns == 0 { boot_ts } else { boot_ts.saturating_add(pidns) },
            tty: named.u32("tty", 0),
            loginuid: named.u32("loginuid", u32::MAX),
            exe_writable: flag("EXE_WRITABLE"),
            cap_inheritable: named.u64("cap_inheritable"),
            cap_permitted: named.u64("cap_permitted"),
            cap_effective: named.u64("cap_effective"),
            exe_upper_layer: flag("EXE_UPPER_LAYER"),
            exe_ino: named.u64("exe_ino"),
            exe_ino_ctime: named.u64("exe_ino_ctime"),
            exe_ino_mtime: named.u64("exe_ino_mtime"),
            exe_from_memfd: flag("EXE_FROM_MEMFD"),
            exe_lower_layer: flag("EXE_LOWER_LAYER"),
            pgid: named.id("pgid"),
        })
    }

    /// The other threads of a process, as far as they are still there.
    pub(crate) fn other_threads(&self) -> Vec<Self> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let tids = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
        tids.filter(|tid| *tid != self.tid).map(|tid| self.thread(tid)).collect()
    }

    fn thread(&self, tid: i64) -> Self {
        let comm = bytes(format!("/proc/{}/task/{tid}/comm", self.pid)).trim_ascii_end().to_vec();
        let status = super::text(format!("/proc/{}/task/{tid}/status", self.pid));
        let vtid = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().next_back()?.parse().ok());
        Self { tid, vtid: vtid.unwrap_or(tid), comm, flags: THREAD_FLAGS, ..self.clone() }
    }
}

fn root_of(pid: i64) -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    fs::read_link(format!("/proc/{pid}/root"))
        .map_or_else(|_| b"/".to_vec(), |p| p.into_os_string().into_vec())
}

#[cfg(test)]
mod tests {
    use saker_events::{table::code, write};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_process_and_its_other_threads() {
        let pid = std::process::id();
        let (row, named) = (
            EventRow::of(code::SYSCALL_EXECVE_19_X).unwrap(),
            json!({"pid": pid, "comm": "me", "args": ["-x"], "flags": 3, "uid": 5, "sid": 9, "pidns_init_start_ts": 7, "trusted_exepath": "/me"}),
        );
        let params = write::params(row, named.as_object().unwrap()).unwrap();
        let bytes = write::event(1, pid.into(), row.code, &params);
        let process = ListedProcess::of_exec(&Event::parse(&bytes).unwrap(), 100).unwrap();
        let facts =
            (process.exe_writable, process.exe_upper_layer, process.exe_from_memfd, process.uid, process.sid);
        assert_eq!(facts, (true, true, false, 5, 9));
        assert_eq!(
            (process.pidns_init_start_ts, process.args.as_slice(), process.ptid),
            (107, &b"-x\0"[..], -1)
        );
        let meeting = std::sync::Arc::new(std::sync::Barrier::new(2));
        let thread = std::thread::Builder::new().name("other".to_owned());
        let there = std::sync::Arc::clone(&meeting);
        let thread = thread.spawn(move || (there.wait(), there.wait())).unwrap();
        meeting.wait();
        let other = process.other_threads().into_iter().find(|t| t.comm == b"other").unwrap();
        meeting.wait();
        thread.join().unwrap();
        assert_eq!(
            (other.pid, other.flags, other.exepath.as_slice()),
            (pid.into(), THREAD_FLAGS, &b"/me"[..])
        );
        assert_eq!(other.vtid, other.tid);
    }
}
