//! Descriptors that a process has, from `/proc/PID/fd`.

use std::{
    fs::{self, Metadata},
    os::unix::{
        ffi::OsStringExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

use saker_events::{
    descriptor::FdType,
    procfs,
    table::{FILE_FLAGS, symbol_value},
};

use super::sockets::Sockets;
use crate::{FdKind, ListedFd};

/// Descriptors listed of one process; the others are told apart only when they are used.
const MAX_FDS: usize = 65_536;

/// Kernel bits of open(2) and their symbols in the table `file_flags`; the way of access is apart.
const OPEN_FLAGS: [(i32, &str); 10] = [
    (libc::O_APPEND, "O_APPEND"),
    (libc::O_CREAT, "O_CREAT"),
    (libc::O_DSYNC, "O_DSYNC"),
    (libc::O_EXCL, "O_EXCL"),
    (libc::O_NONBLOCK, "O_NONBLOCK"),
    (libc::O_TRUNC, "O_TRUNC"),
    (libc::O_DIRECT, "O_DIRECT"),
    (libc::O_DIRECTORY, "O_DIRECTORY"),
    (libc::O_CLOEXEC, "O_CLOEXEC"),
    (libc::O_TMPFILE & !libc::O_DIRECTORY, "O_TMPFILE"),
];

/// Lists descriptors, with what is known of sockets in each network namespace.
#[derive(Default)]
pub(crate) struct FdLister {
    sockets: Sockets,
}

impl FdLister {
    /// The descriptors of a process; none if it is gone.
    pub(crate) fn list(&mut self, pid: i64) -> Vec<ListedFd> {
        let folder = format!("/proc/{pid}/fd");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().take(MAX_FDS);
        let numbers: Vec<i64> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.into_iter().filter_map(|fd| self.fd(pid, fd)).collect()
    }

    fn fd(&mut self, pid: i64, fd: i64) -> Option<ListedFd> {
        let path = format!("/proc/{pid}/fd/{fd}");
        let name = fs::read_link(&path).ok()?.into_os_string().into_vec();
        let file = fs::metadata(&path).ok()?;
        let kind = if file.file_type().is_socket() {
            self.sockets.kind(pid, file.ino(), name)
        } else {
            kind(name, &file, Path::new(&format!("/proc/{pid}/fdinfo/{fd}")))
        };
        Some(ListedFd { fd, ino: file.ino(), kind })
    }
}

fn kind(name: Vec<u8>, file: &Metadata, info: &Path) -> FdKind {
    match procfs::descriptor(&name, file.mode()).0 {
        FdType::File => {
            let dev = u32::try_from(file.dev() & u64::from(u32::MAX)).unwrap_or(0);
            FdKind::File { open_flags: open_flags(&super::text(info)), path: name, dev }
        }
        kind => FdKind::Named { kind, name },
    }
}

/// The flags in a text of `/proc/PID/fdinfo/FD`, as events have them.
fn open_flags(info: &str) -> u32 {
    let line = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let kernel = line.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0);
    let access = match kernel & libc::O_ACCMODE {
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_RDONLY",
    };
    let set = OPEN_FLAGS.iter().filter(|(bit, _)| kernel & bit != 0).map(|(_, name)| *name);
    let bits = set.chain([access]).fold(0, |bits, name| bits | symbol_value(FILE_FLAGS, name));
    u32::try_from(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream, UdpSocket},
        os::{fd::AsRawFd, unix::net::UnixListener},
    };

    use super::*;

    fn own(fd: &impl AsRawFd) -> FdKind {
        let list = FdLister::default().list(std::process::id().into());
        list.into_iter().find(|f| f.fd == i64::from(fd.as_raw_fd())).expect("the descriptor").kind
    }

    #[test]
    fn files_and_pipes() {
        let null = fs::OpenOptions::new().append(true).open("/dev/null").unwrap();
        let FdKind::File { open_flags, path, dev } = own(&null) else { panic!() };
        // O_CLOEXEC, O_APPEND, O_WRONLY.
        assert_eq!((open_flags, path.as_slice()), (4096 | 8 | 2, &b"/dev/null"[..]));
        assert!(dev > 0);
        let root = fs::File::open("/").unwrap();
        assert_eq!(own(&root), FdKind::Named { kind: FdType::Directory, name: b"/".to_vec() });
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(
            matches!(own(&reader), FdKind::Named { kind: FdType::Pipe, name } if name.starts_with(b"pipe:["))
        );
    }

    #[test]
    fn sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(own(&listener), FdKind::Server { address, l4: 2 });
        let stream = TcpStream::connect(address).unwrap();
        let source = stream.local_addr().unwrap();
        assert_eq!(own(&stream), FdKind::Connection { source, destination: address, l4: 2 });
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        assert_eq!(own(&udp), FdKind::Server { address: udp.local_addr().unwrap(), l4: 3 });
        let path = std::env::temp_dir().join(format!("saker-fds-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        let kind = own(&unix);
        fs::remove_file(&path).unwrap();
        let FdKind::Unix { path: bound, .. } = kind else { panic!("{kind:?}") };
        assert_eq!(bound, path.into_os_string().into_vec());
    }
}
