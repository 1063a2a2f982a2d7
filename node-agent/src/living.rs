//! What no event tells of a process that lives: its threads, how many descriptors it has open, and what its standard
//! input, output and error are. `/proc` is asked when a rule reads it, and no file system that could keep it waiting.

use std::{
    cell::OnceCell,
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::proto::MetricType;
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, StatxFlags, open, openat, readlinkat, statat, statx},
    io::{Errno, read},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use saker_events::{
    descriptor::FdType,
    param::{Address, Tuple},
    process::{Living, ProcessKey, Standard},
    procfs::{self, Stat},
};
use serde::Serialize;

use crate::metrics::family::{Extra, Spec};

const ASKED: Spec = (
    "saker_process_lookups_total",
    "Look-ups of threads and descriptors of a process, by whether it still lived, whether it was allowed and whether only some descriptors were looked at",
    MetricType::COUNTER,
);

/// Nanoseconds in which `/proc` counts.
const TICK: u64 = 10_000_000;
/// Descriptors counted one by one at most; kernels since 6.2 tell their number.
const MAX_COUNTED: usize = 65_536;
/// Descriptors that are looked at for their types at most.
const MAX_TYPED: usize = 1024;

/// Processes of this machine, and how many look-ups there were.
#[derive(Debug, Default)]
pub struct ProcFs {
    told: AtomicU64,
    ended: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

/// The part of `/status` about look-ups of processes.
#[derive(Debug, Serialize)]
pub struct Report {
    told: u64,
    ended: u64,
    refused: u64,
    cut: u64,
}

impl ProcFs {
    /// For `/status`.
    pub fn report(&self) -> Report {
        let [told, ended, refused, cut] =
            [&self.told, &self.ended, &self.refused, &self.cut].map(|count| count.load(Relaxed));
        Report { told, ended, refused, cut }
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> Extra {
        let Report { told, ended, refused, cut } = self.report();
        let row =
            |(result, count): (&str, u64)| (ASKED, vec![("result".to_owned(), result.to_owned())], count);
        [("told", told), ("ended", ended), ("refused", refused), ("cut", cut)].map(row).into()
    }

    /// Counts what a look-up came to.
    fn count<T>(&self, found: Result<T, Errno>) -> Option<T> {
        match &found {
            Ok(_) => self.told.fetch_add(1, Relaxed),
            Err(Errno::ACCESS | Errno::PERM) => self.refuse(),
            Err(_) => self.ended.fetch_add(1, Relaxed),
        };
        found.ok()
    }

    fn refuse(&self) -> u64 {
        let before = self.refused.fetch_add(1, Relaxed);
        if before == 0 {
            tracing::warn!(
                "Descriptors of processes may not be looked at: proc.stdin.*, proc.fdopencount and their like have no \
                 values. The agent needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
            );
        }
        before
    }
}

impl Living for ProcFs {
    fn threads(&self, process: ProcessKey) -> Option<usize> {
        self.count(threads(process))
    }

    fn descriptors(&self, process: ProcessKey) -> Option<usize> {
        self.count(descriptors(process))
    }

    fn descriptor_types(&self, process: ProcessKey) -> Option<Vec<FdType>> {
        let (types, whole) = self.count(descriptor_types(process, MAX_TYPED))?;
        self.cut.fetch_add(u64::from(!whole), Relaxed);
        Some(types)
    }

    fn standard(&self, process: ProcessKey, number: i64) -> Option<Standard<'static>> {
        self.count(Held::new(process).and_then(|held| held.descriptor(number)))
    }
}

/// The process's folder; what is opened in it fails when the process has ended, whoever has its id then.
fn folder(process: ProcessKey) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(format!("/proc/{}", process.pid), flags, Mode::empty())?;
    let mut text = [0; 1024];
    let stat = openat(&folder, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = read(&stat, &mut text)?;
    let stat = Stat::parse(text.get(..length).unwrap_or_default());
    let same = stat.is_some_and(|stat| start(&stat).abs_diff(process.start / TICK) <= 1);
    if same { Ok(folder) } else { Err(Errno::SRCH) }
}

/// When a process started, in ticks since boot.
fn start(stat: &Stat) -> u64 {
    stat.number(22).cast_unsigned()
}

/// The folder of its threads has two links more than folders in it.
fn threads(process: ProcessKey) -> Result<usize, Errno> {
    let links = statat(folder(process)?, "task", AtFlags::empty())?.st_nlink;
    Ok(usize::try_from(links).unwrap_or(0).saturating_sub(2))
}

fn descriptors(process: ProcessKey) -> Result<usize, Errno> {
    let folder = folder(process)?;
    let told = usize::try_from(statat(&folder, "fd", AtFlags::empty())?.st_size).unwrap_or(0);
    if told > 0 {
        return Ok(told);
    }
    Ok(numbers(&folder)?.take(MAX_COUNTED).count())
}

/// The numbers of a process's open descriptors.
fn numbers(folder: &OwnedFd) -> Result<impl Iterator<Item = i64> + use<>, Errno> {
    let list = openat(folder, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Dir::new(list)?.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()))
}

/// Each type once, and whether all descriptors were looked at; what is closed meanwhile is left out.
fn descriptor_types(process: ProcessKey, most: usize) -> Result<(Vec<FdType>, bool), Errno> {
    let held = Held::new(process)?;
    let mut numbers = numbers(&held.folder)?;
    let looked_at = numbers.by_ref().take(most);
    let mut types: Vec<_> = looked_at.filter_map(|number| Some(held.descriptor(number).ok()?.kind)).collect();
    types.sort_unstable();
    types.dedup();
    Ok((types, numbers.next().is_none()))
}

/// A process whose descriptors are looked at.
struct Held {
    pid: Pid,
    folder: OwnedFd,
    /// The process itself, once a socket was asked for its ends.
    process: OnceCell<OwnedFd>,
}

impl Held {
    fn new(process: ProcessKey) -> Result<Self, Errno> {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        Ok(Self { pid, folder: folder(process)?, process: OnceCell::new() })
    }

    fn descriptor(&self, number: i64) -> Result<Standard<'static>, Errno> {
        let path = format!("fd/{number}");
        let link = readlinkat(&self.folder, &*path, Vec::new())?.into_bytes();
        if link.starts_with(b"socket:") {
            let number = i32::try_from(number).map_err(|_| Errno::BADF)?;
            return Ok(socket(pidfd_getfd(self.process()?, number, PidfdGetfdFlags::empty())?));
        }
        // Only what the kernel has in memory is asked for: a file system in user space could take its time.
        let mode = statx(&self.folder, &*path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)?.stx_mode;
        let (kind, name) = procfs::descriptor(&link, mode.into());
        Ok(Standard { kind, name: name.to_vec().into() })
    }

    /// While the folder answers, nobody else has the id.
    fn process(&self) -> Result<&OwnedFd, Errno> {
        if let Some(known) = self.process.get() {
            return Ok(known);
        }
        let opened = pidfd_open(self.pid, PidfdFlags::empty())?;
        statat(&self.folder, "stat", AtFlags::empty())?;
        Ok(self.process.get_or_init(|| opened))
    }
}

/// The ends of a socket as its owner has them, its own first.
fn socket(file: OwnedFd) -> Standard<'static> {
    let stream = TcpStream::from(file);
    if let Ok(own) = stream.local_addr() {
        let name = match stream.peer_addr() {
            Ok(peer) => Tuple::Ip(canonical(own), canonical(peer)).into_text(),
            Err(_) => Address::Ip(canonical(own)).into_text(),
        };
        let kind = if canonical(own).is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 };
        return Standard { kind, name: name.into() };
    }
    let stream = UnixStream::from(OwnedFd::from(stream));
    let ends = [stream.local_addr(), stream.peer_addr()];
    let kind = if ends[0].is_ok() { FdType::Unix } else { FdType::Unknown };
    let path = ends.iter().flatten().find_map(|end| end.as_pathname());
    Standard {
        kind,
        name: path.map(|path| path.as_os_str().as_encoded_bytes().to_vec()).unwrap_or_default().into(),
    }
}

/// An IPv4 address inside IPv6 is one of IPv4.
fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::PipeReader,
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixListener,
        process::{Child, Command, Stdio},
    };

    use super::*;

    fn key(pid: u32) -> ProcessKey {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        ProcessKey { pid, start: start(&Stat::parse(&stat).unwrap()) * TICK }
    }

    /// What a process has that gets this as its standard input.
    fn check(input: impl Into<Stdio>, kind: FdType, name: &str) {
        let mut child = sleeper(input);
        let found = ProcFs::default().standard(key(child.id()), 0).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((found.kind, &*String::from_utf8_lossy(&found.name)), (kind, name));
    }

    fn sleeper(input: impl Into<Stdio>) -> Child {
        Command::new("sleep").arg("60").stdin(input).spawn().unwrap()
    }

    #[test]
    fn standard_input_is_what_the_process_was_given() {
        check(File::open("/dev/null").unwrap(), FdType::File, "/dev/null");
        check(File::open("/usr").unwrap(), FdType::Directory, "/usr");
        let (input, _output): (PipeReader, _) = std::io::pipe().unwrap();
        let name =
            std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&input))).unwrap();
        check(input, FdType::Pipe, name.to_str().unwrap());
        check(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap(), FdType::Memfd, "x");
    }

    #[test]
    fn a_socket_has_the_ends_that_its_owner_sees() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let stream = TcpStream::connect(server).unwrap();
        let client = stream.local_addr().unwrap();
        check(OwnedFd::from(stream), FdType::Ipv4, &format!("{client}->{server}"));
        check(OwnedFd::from(listener), FdType::Ipv4, &server.to_string());
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        check(OwnedFd::from(udp), FdType::Ipv6, &format!("::1:{port}"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        check(OwnedFd::from(unix), FdType::Unix, path.to_str().unwrap());
    }

    /// Nobody looks at all of a process that has very many.
    #[test]
    fn types_are_told_once_and_whether_they_are_all() {
        let (own, asked) = (key(std::process::id()), ProcFs::default());
        let _file = File::open("/dev/null").unwrap();
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let types = asked.descriptor_types(own).unwrap();
        let once = types.iter().filter(|kind| **kind == FdType::File).count();
        assert!(once == 1 && types.contains(&FdType::Ipv4), "{types:?}");
        assert_eq!(asked.report().cut, 0);
        let (types, whole) = descriptor_types(own, 1).unwrap();
        assert!(types.len() <= 1 && !whole, "{types:?}");
    }

    #[test]
    fn threads_and_descriptors_are_counted() {
        let (own, asked) = (key(std::process::id()), ProcFs::default());
        let before = asked.threads(own).unwrap();
        let (told, waits) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || waits.recv());
        assert!(asked.threads(own).unwrap() > 1 && before > 0);
        drop(told);
        assert!(thread.join().unwrap().is_err());
        let mut child = sleeper(Stdio::null());
        // It opens and closes libraries first.
        let listed = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
        let same = || asked.descriptors(key(child.id())) == Some(listed());
        assert!((0..10_000).any(|_| same()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_id_is_not_asked() {
        let (mut own, asked) = (key(std::process::id()), ProcFs::default());
        own.start += 3 * TICK;
        assert_eq!((asked.threads(own), asked.descriptors(own), asked.standard(own, 0)), (None, None, None));
        assert_eq!(asked.metrics().iter().map(|row| row.2).collect::<Vec<_>>(), [0, 3, 0, 0]);
    }
}
