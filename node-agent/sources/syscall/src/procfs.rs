//! The processes that exist already, as `/proc` tells them: for kernels whose iterators the probe cannot use.
//!
//! The events are those of `scan.h` in the probe: `execve` with the parameters of the event table and, behind
//! them, sid, vtid, vpid and pidns_init_start_ts.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use saker_events::{
    Event,
    event::HEADER_BYTES,
    procfs::{self, Stat},
};

use crate::{delivery::Delivery, object};

const EVENT_EXECVE: u16 = 293;
const TEXT_MAX: usize = 4096;
/// Bits of the table execve_flags.
const EXE_FROM_MEMFD: u32 = 4;

/// Reads every process. One that ends meanwhile is left out. Returns how many.
pub(crate) fn read_all(delivery: &mut Delivery, f: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
    let mut count = 0_usize;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(bytes) = Process::read(pid).map(|process| process.event()) else { continue };
        if let Ok(event) = Event::parse(&bytes) {
            f(&delivery.stamp_now(event));
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

/// What `/proc/PID` holds.
struct Process {
    pid: i64,
    folder: PathBuf,
    stat: Stat,
    status: String,
}

impl Process {
    /// `None` for kernel threads and processes that are gone.
    fn read(pid: i64) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let stat = Stat::parse(&fs::read(folder.join("stat")).ok()?)?;
        // A process may give itself a name that is no text.
        let status = String::from_utf8_lossy(&fs::read(folder.join("status")).ok()?).into_owned();
        status.contains("\nVmSize:").then_some(Self { pid, folder, stat, status })
    }

    /// The words behind `key:` in `status`.
    fn status(&self, key: &str) -> impl DoubleEndedIterator<Item = &str> {
        let line = self.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace()
    }

    fn status_number(&self, key: &str, word: usize) -> u32 {
        self.status(key).nth(word).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    fn capability(&self, key: &str) -> u64 {
        self.status(key).next().and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
    }

    /// The id in the process's own pid namespace.
    fn inner(&self, key: &str) -> i64 {
        self.status(key).next_back().and_then(|id| id.parse().ok()).unwrap_or(self.pid)
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        let mut bytes = fs::read(self.folder.join(file)).unwrap_or_default();
        bytes.truncate(TEXT_MAX);
        bytes
    }

    fn link(&self, file: &str) -> Option<PathBuf> {
        fs::read_link(self.folder.join(file)).ok()
    }

    fn fd_limit(&self) -> u64 {
        let limits = self.bytes("limits");
        let limits = String::from_utf8_lossy(&limits);
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// `ID:SUBSYSTEMS:PATH` lines as `SUBSYSTEM=PATH` texts.
    fn cgroups(&self) -> Vec<u8> {
        let file = self.bytes("cgroup");
        let mut texts = Vec::new();
        for line in String::from_utf8_lossy(&file).lines() {
            let Some((subsystems, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))
            else {
                continue;
            };
            for subsystem in subsystems.split(',') {
                texts.extend_from_slice(format!("{subsystem}={path}\0").as_bytes());
            }
        }
        texts
    }

    fn event(&self) -> Vec<u8> {
        let mut params = Params::default();
        self.put_command(&mut params);
        self.put_state(&mut params);
        self.put_identity(&mut params);
        for id in [self.inner("NSsid"), self.inner("NSpid"), self.inner("NStgid")] {
            params.number(id);
        }
        params.empty(); // pidns_init_start_ts
        params.event(self.pid)
    }

    /// Parameters 0 to 7: res to fdlimit.
    fn put_command(&self, params: &mut Params) {
        let line = self.bytes("cmdline");
        let exe = line.iter().position(|byte| *byte == 0).map_or(line.len(), |nul| nul.saturating_add(1));
        let (exe, args) = line.split_at(exe);
        params.number(0);
        params.bytes(exe);
        params.bytes(args);
        for id in [self.pid, self.pid, self.stat.number(4)] {
            params.number(id);
        }
        params.path(self.link("cwd").as_deref());
        params.number(self.fd_limit().cast_signed());
    }

    /// Parameters 8 to 18: page faults to loginuid.
    fn put_state(&self, params: &mut Params) {
        params.number(self.stat.number(12));
        params.number(self.stat.number(10));
        let rss = u32::try_from(self.stat.number(24)).unwrap_or(0).saturating_mul(object::page_kib());
        for kib in [self.status_number("VmSize", 0), rss, self.status_number("VmSwap", 0)] {
            params.bytes(&kib.to_le_bytes());
        }
        params.text(&self.stat.comm);
        params.bytes(&self.cgroups());
        params.bytes(&self.bytes("environ"));
        params.bytes(&u32::try_from(self.stat.number(7)).unwrap_or(0).to_le_bytes());
        params.number(self.inner("NSpgid"));
        let login = String::from_utf8_lossy(&self.bytes("loginuid")).trim().parse().unwrap_or(u32::MAX);
        params.bytes(&login.to_le_bytes());
    }

    /// Parameters 19 to 30: flags to filename.
    fn put_identity(&self, params: &mut Params) {
        let exe = self.link("exe");
        let file = fs::metadata(self.folder.join("exe"));
        let memfd = exe.as_ref().is_some_and(|exe| procfs::is_in_memory(exe.as_os_str().as_bytes()));
        params.bytes(&if memfd { EXE_FROM_MEMFD } else { 0 }.to_le_bytes());
        for key in ["CapInh", "CapPrm", "CapEff"] {
            params.number(self.capability(key).cast_signed());
        }
        let time = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        match file {
            Ok(file) => {
                params.number(file.ino().cast_signed());
                params.number(time(file.ctime(), file.ctime_nsec()));
                params.number(time(file.mtime(), file.mtime_nsec()));
            }
            Err(_) => (0..3).for_each(|_| params.empty()),
        }
        params.bytes(&self.status_number("Uid", 1).to_le_bytes());
        params.path(exe.as_deref());
        params.number(self.stat.number(5));
        params.bytes(&self.status_number("Gid", 1).to_le_bytes());
        params.empty();
    }
}

/// The parameters of an event that is being built.
#[derive(Default)]
struct Params {
    lengths: Vec<u8>,
    data: Vec<u8>,
}

impl Params {
    fn bytes(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(0);
        self.lengths.extend_from_slice(&length.to_le_bytes());
        self.data.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or_default());
    }

    fn empty(&mut self) {
        self.bytes(&[]);
    }

    fn number(&mut self, number: i64) {
        self.bytes(&number.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes(&[text, b"\0"].concat());
    }

    fn path(&mut self, path: Option<&Path>) {
        let path = path.map(Path::as_os_str).map(OsStr::as_bytes);
        match path {
            Some(path) => self.text(procfs::path(path)),
            None => self.empty(),
        }
    }

    fn event(self, tid: i64) -> Vec<u8> {
        let size = HEADER_BYTES.saturating_add(self.lengths.len()).saturating_add(self.data.len());
        let count = u32::try_from(self.lengths.len() / 2).unwrap_or(0);
        let mut event = Vec::with_capacity(size);
        event.extend_from_slice(&0_u64.to_le_bytes()); // stamped at delivery
        event.extend_from_slice(&tid.to_le_bytes());
        event.extend_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
        event.extend_from_slice(&EVENT_EXECVE.to_le_bytes());
        event.extend_from_slice(&count.to_le_bytes());
        event.extend_from_slice(&self.lengths);
        event.extend_from_slice(&self.data);
        event
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_with_a_name_that_is_no_text_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(OsStr::from_bytes(b"\xff) S"));
        // By another process: a child that another test starts meanwhile would have it open for writing.
        assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
        let mut child = Command::new(program).arg("60").spawn().unwrap();
        let found = Process::read(child.id().into());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.unwrap().stat.comm, b"\xff) S");
    }

    #[test]
    fn the_test_itself_is_found() {
        let (mut own, mut count) = (None, 0);
        let pid = i64::from(std::process::id());
        let reported = read_all(&mut Delivery::new(), &mut |event| {
            count += 1;
            if event.tid == pid {
                own = Some(
                    [1, 6, 13, 27].map(|at| String::from_utf8(event.param(at).unwrap().to_vec()).unwrap()),
                );
            }
        });
        let [exe, cwd, comm, path] = own.unwrap();
        assert_eq!(reported.unwrap(), count);
        assert_eq!(exe.trim_end_matches('\0'), std::env::args().next().unwrap());
        assert_eq!(cwd.trim_end_matches('\0'), std::env::current_dir().unwrap().to_str().unwrap());
        assert_eq!(path.trim_end_matches('\0'), std::env::current_exe().unwrap().to_str().unwrap());
        assert!(comm.len() > 1 && path.contains(comm.trim_end_matches('\0')), "{comm} runs {path}");
    }
}
