//! What a live event tells of its descriptor: the probe looks it up in the kernel's own table when the event
//! happens (`probe/facts.h` is the other side), so that no dup, close or passed descriptor has to be followed.

use std::{borrow::Cow, net::SocketAddr};

use crate::{
    Event,
    descriptor::{End, FdType, Protocol, Socket},
    fd::{ip_type, number_of},
    param::{self, Tuple},
    table::{EventRow, code, event_flags},
};

/// The extension parameter.
pub const PARAM: &str = "fdfacts";
/// The extension parameter about a list of descriptors.
pub const LIST: &str = "fdsfacts";
/// Bytes before the path or tuple.
const HEAD_BYTES: usize = 16;
/// The upper bits of an inode's mode tell what it is.
const S_IFMT: u32 = 0o170_000;
const S_IFSOCK: u32 = 0o140_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFIFO: u32 = 0o010_000;
/// In no directory: its name is the kernel's.
const ALONE: u8 = 0x40;
const CONNECTED: u8 = 0x80;
const ROLE: u8 = 3;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
/// Before the name of a file in memory.
pub(crate) const MEMFD: &[u8] = b"memfd:";

/// What the kernel calls the files that are in no directory: how the names begin.
const NAMES: &[(&[u8], FdType)] = &[
    (b"[eventfd", FdType::Event),
    (b"[eventpoll]", FdType::Eventpoll),
    (b"[signalfd]", FdType::Signalfd),
    (b"[timerfd]", FdType::Timerfd),
    (b"[userfaultfd]", FdType::Userfaultfd),
    (b"[io_uring]", FdType::IoUring),
    (b"[pidfd]", FdType::Pidfd),
    (b"inotify", FdType::Inotify),
    (b"bpf", FdType::Bpf),
    (MEMFD, FdType::Memfd),
];

/// What stands behind the descriptor of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FdFacts<'a> {
    /// What it is.
    pub kind: FdType,
    /// Path, or the addresses of a socket.
    pub name: Cow<'a, [u8]>,
    /// Device, in the layout that stat(2) shows; 0 for sockets.
    pub dev: u32,
    /// Inode.
    pub ino: u64,
    /// For sockets over IP.
    pub socket: Option<Socket>,
    /// Which end of a socket this is, if that is known.
    pub end: Option<End>,
    /// For sockets over IP.
    pub protocol: Protocol,
    /// Whether a socket is connected.
    pub connected: bool,
    /// Whether the event gave it another name.
    pub name_changed: bool,
}

impl<'a> FdFacts<'a> {
    /// What the event tells; `None` if it does not, as events of captures never do.
    pub fn of(event: &Event<'a>, row: &EventRow) -> Option<Self> {
        let (index, _) = row.param(PARAM)?;
        let facts = Self::parse(event.param(index)?)?;
        Some(facts.seen_by(event, row))
    }

    /// Reads the parameter.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [m0, m1, protocol, role, d0, d1, d2, d3, ino @ ..] = *head;
        let (mode, device) = (u32::from(u16::from_le_bytes([m0, m1])), u32::from_le_bytes([d0, d1, d2, d3]));
        let ino = u64::from_le_bytes(ino);
        if mode & S_IFMT == S_IFSOCK {
            return Some(Self { ino, ..socket(device, protocol, role, rest) });
        }
        let path = param::text(rest);
        let alone = (role & ALONE != 0).then(|| below_root(path));
        let kind = file_kind(mode, alone);
        let name = Cow::Borrowed(file_name(kind, path));
        Some(Self { dev: device, ino, name, ..Self::new(kind) })
    }

    /// Reads the parameter about a list: the facts of each descriptor, which closed ones do not have.
    pub fn list(bytes: &'a [u8]) -> impl Iterator<Item = Option<Self>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (facts, others) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
            rest = others;
            Some(Self::parse(facts))
        })
    }

    fn new(kind: FdType) -> Self {
        Self {
            kind,
            name: Cow::Borrowed(b""),
            dev: 0,
            ino: 0,
            socket: None,
            end: None,
            protocol: Protocol::Unknown,
            connected: false,
            name_changed: false,
        }
    }

    /// What the event itself knows better: who called whom, and the other end of a message.
    fn seen_by(self, event: &Event<'a>, row: &EventRow) -> Self {
        if event.code == code::SYSCALL_PIDFD_OPEN_X {
            let pid = number_of(event, row, "pid").unwrap_or_default();
            return Self { kind: FdType::Pidfd, name: format!("/proc/{pid}").into_bytes().into(), ..self };
        }
        let accepts = matches!(event.code, code::SOCKET_ACCEPT_5_X | code::SOCKET_ACCEPT4_6_X);
        let sends = row.any(event_flags::WRITES_TO_FD);
        if !self.kind.is_socket() || !(accepts || sends || row.any(event_flags::READS_FROM_FD)) {
            return self;
        }
        let tuple = row.param("tuple").and_then(|(index, _)| event.param(index)).and_then(Tuple::parse);
        match tuple {
            Some(Tuple::Ip(source, destination)) if accepts || !self.connected => {
                let end = Some(if sends { End::Client } else { End::Server });
                let named = Self { end, name_changed: true, connected: true, ..self };
                named.between(source, destination)
            }
            _ => self,
        }
    }

    fn between(self, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            kind: ip_type(destination),
            name: Tuple::Ip(source, destination).into_text().into(),
            socket: Some(Socket { source, destination, listening: false }),
            ..self
        }
    }
}

/// What is no socket, by its mode and, if it is in no directory, its name there.
pub(crate) fn file_kind(mode: u32, alone: Option<&[u8]>) -> FdType {
    match (mode & S_IFMT, alone) {
        (S_IFIFO, _) => FdType::Pipe,
        (_, Some(name)) => {
            let known = NAMES.iter().find(|(start, _)| name.starts_with(start));
            known.map_or(FdType::Unknown, |(_, kind)| *kind)
        }
        (S_IFDIR, None) => FdType::Directory,
        (_, None) => FdType::File,
    }
}

/// The kernel writes the names of what is in no directory as paths.
fn below_root(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

/// What stands in no directory has the name that it was given, if any.
fn file_name(kind: FdType, path: &[u8]) -> &[u8] {
    match kind {
        FdType::File | FdType::Directory | FdType::Pipe | FdType::Unknown => path,
        FdType::Memfd => below_root(path).strip_prefix(MEMFD).unwrap_or(path),
        _ => b"",
    }
}

fn socket(family: u32, protocol: u8, role: u8, tuple: &[u8]) -> FdFacts<'static> {
    let listens = role & ROLE == 3;
    let end = match role & ROLE {
        1 => Some(End::Client),
        2 | 3 => Some(End::Server),
        _ => None,
    };
    let connected = role & CONNECTED != 0;
    let facts = FdFacts {
        end,
        connected,
        protocol: Protocol::of_ip(protocol.into()),
        ..FdFacts::new(FdType::Unknown)
    };
    match Tuple::parse(tuple) {
        Some(Tuple::Ip(own, _)) if listens => FdFacts {
            kind: ip_type(own),
            name: param::ip_text(own).into_bytes().into(),
            socket: Some(Socket { source: own, destination: own, listening: true }),
            ..facts
        },
        Some(Tuple::Ip(source, destination)) if source.port() != 0 || destination.port() != 0 => {
            facts.between(source, destination)
        }
        Some(Tuple::Ip(..)) if family == AF_INET6 => FdFacts { kind: FdType::Ipv6, ..facts },
        Some(Tuple::Ip(..)) => FdFacts { kind: FdType::Ipv4, ..facts },
        // Bound, and nobody is at the other end.
        Some(Tuple::Unix(0, _, path)) if end.is_some() => {
            FdFacts { kind: FdType::Unix, name: path.to_vec().into(), ..facts }
        }
        Some(unix @ Tuple::Unix(..)) => {
            FdFacts { kind: FdType::Unix, name: unix.into_text().into(), ..facts }
        }
        _ if family == AF_NETLINK => FdFacts { kind: FdType::Netlink, ..facts },
        _ => facts,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(mode: u16, protocol: u8, role: u8, device: u32, rest: &[u8]) -> Vec<u8> {
        let head = [&mode.to_le_bytes()[..], &[protocol, role], &device.to_le_bytes(), &7_u64.to_le_bytes()];
        [&head.concat(), rest].concat()
    }

    /// Type, name, end.
    #[track_caller]
    fn check(bytes: &[u8], kind: FdType, name: &str, end: Option<End>) {
        let facts = FdFacts::parse(bytes).unwrap();
        assert_eq!(
            (facts.kind, &*String::from_utf8_lossy(&facts.name), facts.end, facts.ino),
            (kind, name, end, 7)
        );
    }

    const TUPLE: [u8; 13] = [2, 10, 0, 0, 1, 0x39, 0x30, 10, 0, 0, 2, 0xbb, 1];

    #[test]
    fn files_are_told_by_their_mode() {
        check(&facts(0o100_644, 0, 0, 1, b"/etc/passwd\0"), FdType::File, "/etc/passwd", None);
        check(&facts(0o040_755, 0, 0, 1, b"/etc\0"), FdType::Directory, "/etc", None);
        check(&facts(0o010_600, 0, ALONE, 1, b""), FdType::Pipe, "", None);
        check(&facts(0, 0, ALONE, 1, b"/[eventpoll]\0"), FdType::Eventpoll, "", None);
        check(&facts(0, 0, ALONE, 1, b"/[fscontext]\0"), FdType::Unknown, "/[fscontext]", None);
        check(&facts(0o100_777, 0, ALONE, 1, b"/memfd:x\0"), FdType::Memfd, "x", None);
        check(&facts(0o100_777, 0, 0, 1, b"/memfd:x\0"), FdType::File, "/memfd:x", None);
    }

    #[test]
    fn sockets_are_told_by_their_ends() {
        let name = "10.0.0.1:12345->10.0.0.2:443";
        check(&facts(0o140_777, 6, 1, 2, &TUPLE), FdType::Ipv4, name, Some(End::Client));
        check(&facts(0o140_777, 6, 2, 2, &TUPLE), FdType::Ipv4, name, Some(End::Server));
        check(&facts(0o140_777, 6, 3, 2, &TUPLE), FdType::Ipv4, "10.0.0.1:12345", Some(End::Server));
        check(&facts(0o140_777, 0, 0, 16, b""), FdType::Netlink, "", None);
        let unix = [&[1][..], &[1; 8], &[2; 8], b"/run/x\0"].concat();
        let name = "101010101010101->202020202020202 /run/x";
        check(&facts(0o140_777, 0, 0, 1, &unix), FdType::Unix, name, None);
        let bound = [&[1][..], &[0; 8], &[2; 8], b"/run/x\0"].concat();
        check(&facts(0o140_777, 0, 2, 1, &bound), FdType::Unix, "/run/x", Some(End::Server));
        let unbound = [&[10][..], &[0; 36]].concat();
        check(&facts(0o140_777, 6, 0, 10, &unbound), FdType::Ipv6, "", None);
    }

    #[test]
    fn a_list_has_the_facts_of_each() {
        let file = facts(0o100_644, 0, 0, 1, b"/x\0");
        let length = u16::try_from(file.len()).unwrap().to_le_bytes();
        let bytes = [&length[..], &file, &[0, 0], &length, &file, &[9, 0, 1]].concat();
        let kinds: Vec<_> = FdFacts::list(&bytes).map(|facts| facts.map(|f| f.kind)).collect();
        assert_eq!(kinds, [Some(FdType::File), None, Some(FdType::File)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let facts = FdFacts::parse(&bytes);
            prop_assert_eq!(facts.is_some(), bytes.len() >= HEAD_BYTES);
            prop_assert!(FdFacts::list(&bytes).count() <= bytes.len() / 2);
        }
    }
}
