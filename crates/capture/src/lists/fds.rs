//! Descriptors that a thread had when the capture began.

use std::net::{IpAddr, SocketAddr};

use saker_events::descriptor::FdType;

use crate::{cursor::Cursor, lists::entries, out::Out};

/// One descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFd {
    /// Its number.
    pub fd: i64,
    /// Inode of what it stands for.
    pub ino: u64,
    /// What it stands for.
    pub kind: FdKind,
}

/// What a descriptor stands for, as the list tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FdKind {
    /// Not known to the writer.
    Unknown,
    /// Both ends of an IP socket, of one family.
    Connection {
        /// The recorded process's end.
        source: SocketAddr,
        /// The other end.
        destination: SocketAddr,
        /// Protocol: 1 none, 2 TCP, 3 UDP, 4 ICMP, 5 raw; 0 unknown.
        l4: u8,
    },
    /// A bound IP socket.
    Server {
        /// What it is bound to.
        address: SocketAddr,
        /// As for connections.
        l4: u8,
    },
    /// A Unix socket.
    Unix {
        /// Kernel address of its own end.
        source: u64,
        /// Kernel address of the other end.
        destination: u64,
        /// What it is bound to; empty if it is not.
        path: Vec<u8>,
    },
    /// A file with its way of opening.
    File {
        /// Bits of the symbols `file_flags`.
        open_flags: u32,
        /// Absolute path.
        path: Vec<u8>,
        /// Device number; 0 if unknown.
        dev: u32,
    },
    /// Anything that has but a name.
    Named {
        /// What it is; sockets over IP and Unix sockets have more than a name.
        kind: FdType,
        /// Path, or the name `/proc/<pid>/fd` shows.
        name: Vec<u8>,
    },
}

/// Kinds of descriptors that have but a name, with their numbers in the format.
const NAMED: [(u8, FdType); 15] = [
    (1, FdType::File),
    (2, FdType::Directory),
    (7, FdType::Pipe),
    (9, FdType::Event),
    (UNSUPPORTED, FdType::Unknown),
    (11, FdType::Signalfd),
    (12, FdType::Eventpoll),
    (13, FdType::Inotify),
    (14, FdType::Timerfd),
    (15, FdType::Netlink),
    (17, FdType::Bpf),
    (18, FdType::Userfaultfd),
    (19, FdType::IoUring),
    (20, FdType::Memfd),
    (21, FdType::Pidfd),
];

/// Longer names are refused by other readers.
const MAX_TEXT: u16 = 1023;
/// The numbers of the kinds that have more than a name.
const UNKNOWN: u8 = 0;
const IPV4: u8 = 3;
const IPV6: u8 = 4;
const IPV4_SERVER: u8 = 5;
const IPV6_SERVER: u8 = 6;
const UNIX: u8 = 8;
const FILE_V2: u8 = 16;
/// What the writer could not tell.
const UNSUPPORTED: u8 = 10;

/// Reads either version of the list: a thread and its descriptors.
pub(crate) fn read(mut body: Cursor, version: u8) -> Option<(i64, Vec<ListedFd>)> {
    let tid = body.i64()?;
    let fds = entries(body, |body| {
        if version == 1 { ListedFd::read(body, false) } else { ListedFd::read(&mut body.entry(true)?, true) }
    });
    Some((tid, fds?))
}

/// Writes the second version.
pub(crate) fn write(out: &mut Out, tid: i64, list: &[ListedFd]) {
    out.i64(tid);
    let known = list.iter().filter(|fd| fd.kind != FdKind::Unknown);
    for fd in known {
        out.entry(true, |out| fd.write(out));
    }
}

impl ListedFd {
    fn write(&self, out: &mut Out) {
        out.i64(self.fd);
        out.u64(self.ino);
        out.u8(self.kind.number());
        self.kind.write(out);
    }

    /// `delimited` entries may end early or hold more.
    fn read(entry: &mut Cursor, delimited: bool) -> Option<Self> {
        let (fd, ino, fdtype) = (entry.i64()?, entry.u64()?, entry.u8()?);
        Some(Self { fd, ino, kind: FdKind::read(entry, fdtype, delimited)? })
    }
}

impl FdKind {
    fn number(&self) -> u8 {
        match self {
            Self::Unknown => UNKNOWN,
            Self::Connection { source, .. } => {
                if source.is_ipv4() {
                    IPV4
                } else {
                    IPV6
                }
            }
            Self::Server { address, .. } => {
                if address.is_ipv4() {
                    IPV4_SERVER
                } else {
                    IPV6_SERVER
                }
            }
            Self::Unix { .. } => UNIX,
            Self::File { .. } => FILE_V2,
            Self::Named { kind, .. } => {
                NAMED.iter().find(|(_, named)| named == kind).map_or(UNSUPPORTED, |(number, _)| *number)
            }
        }
    }

    fn write(&self, out: &mut Out) {
        match self {
            Self::Unknown => {}
            Self::Connection { source, destination, l4 } => {
                for end in [source, destination] {
                    out.ip(end.ip());
                }
                for end in [source, destination] {
                    out.u16(end.port());
                }
                out.u8(*l4);
            }
            Self::Server { address, l4 } => {
                out.ip(address.ip());
                out.u16(address.port());
                out.u8(*l4);
            }
            Self::Unix { source, destination, path } => {
                out.u64(*source);
                out.u64(*destination);
                out.text(path, MAX_TEXT);
            }
            Self::File { open_flags, path, dev } => {
                out.u32(*open_flags);
                out.text(path, MAX_TEXT);
                out.u32(*dev);
            }
            Self::Named { name, .. } => out.text(name, MAX_TEXT),
        }
    }

    fn read(entry: &mut Cursor, fdtype: u8, delimited: bool) -> Option<Self> {
        Some(match fdtype {
            UNKNOWN => Self::Unknown,
            IPV4 => connection::<4>(entry)?,
            IPV6 => connection::<16>(entry)?,
            IPV4_SERVER => server::<4>(entry)?,
            IPV6_SERVER => server::<16>(entry)?,
            UNIX => Self::Unix { source: entry.u64()?, destination: entry.u64()?, path: entry.text()? },
            FILE_V2 => {
                let (open_flags, path) = (entry.u32()?, entry.text()?);
                let dev = delimited.then(|| entry.u32()).flatten().unwrap_or(0);
                Self::File { open_flags, path, dev }
            }
            other => match NAMED.iter().find(|(number, _)| *number == other) {
                Some((_, kind)) => Self::Named { kind: *kind, name: entry.text()? },
                None => Self::newer(other),
            },
        })
    }

    /// What only a newer writer knows.
    fn newer(fdtype: u8) -> Self {
        let name = format!("unknown-type:[{fdtype}]").into_bytes();
        Self::Named { kind: FdType::Unknown, name }
    }
}

fn connection<const N: usize>(entry: &mut Cursor) -> Option<FdKind>
where
    IpAddr: From<[u8; N]>,
{
    let (source, destination) = (entry.array::<N>()?, entry.array::<N>()?);
    let source = SocketAddr::new(source.into(), entry.u16()?);
    let destination = SocketAddr::new(destination.into(), entry.u16()?);
    Some(FdKind::Connection { source, destination, l4: entry.u8()? })
}

fn server<const N: usize>(entry: &mut Cursor) -> Option<FdKind>
where
    IpAddr: From<[u8; N]>,
{
    let address = SocketAddr::new(entry.array::<N>()?.into(), entry.u16()?);
    Some(FdKind::Server { address, l4: entry.u8()? })
}
