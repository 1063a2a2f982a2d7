//! What stands behind the number of a file descriptor: pure data, kept by the engine or made from one event.

use std::{net::SocketAddr, sync::Arc};

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FdType {
    #[default]
    Unknown,
    File,
    Directory,
    Ipv4,
    Ipv6,
    Unix,
    Pipe,
    Event,
    Signalfd,
    Eventpoll,
    Inotify,
    Timerfd,
    Netlink,
    Bpf,
    Userfaultfd,
    IoUring,
    Memfd,
    Pidfd,
}

/// What the fields show of each type (scap-format.md §7).
const TYPES: &[(FdType, &str, &str)] = &[
    (FdType::Unknown, "<NA>", "o"),
    (FdType::File, "file", "f"),
    (FdType::Directory, "directory", "d"),
    (FdType::Ipv4, "ipv4", "4"),
    (FdType::Ipv6, "ipv6", "6"),
    (FdType::Unix, "unix", "u"),
    (FdType::Pipe, "pipe", "p"),
    (FdType::Event, "event", "e"),
    (FdType::Signalfd, "signalfd", "s"),
    (FdType::Eventpoll, "eventpoll", "l"),
    (FdType::Inotify, "inotify", "i"),
    (FdType::Timerfd, "timerfd", "t"),
    (FdType::Netlink, "netlink", "n"),
    (FdType::Bpf, "bpf", "b"),
    (FdType::Userfaultfd, "userfaultfd", "u"),
    (FdType::IoUring, "io_uring", "r"),
    (FdType::Memfd, "memfd", "m"),
    (FdType::Pidfd, "pidfd", "P"),
];

impl FdType {
    fn row(self) -> (&'static str, &'static str) {
        let found = TYPES.iter().find(|(ty, ..)| *ty == self);
        found.map_or(("<NA>", "o"), |(_, name, char)| (name, char))
    }

    /// What `fd.type` shows.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What `fd.typechar` shows.
    pub fn char(self) -> &'static str {
        self.row().1
    }

    /// A file or directory.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Directory)
    }

    /// A socket of the IP family.
    pub const fn is_ip(self) -> bool {
        matches!(self, Self::Ipv4 | Self::Ipv6)
    }

    /// A socket.
    pub const fn is_socket(self) -> bool {
        self.is_ip() || matches!(self, Self::Unix)
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Protocol {
    #[default]
    Unknown,
    Tcp,
    Udp,
    Icmp,
    Raw,
}

impl Protocol {
    /// By its number inside IP packets.
    pub const fn of_ip(number: u64) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            1 => Self::Icmp,
            255 => Self::Raw,
            _ => Self::Unknown,
        }
    }

    /// What `fd.l4proto` shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "<NA>",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Raw => "raw",
        }
    }
}

/// Which end of a socket the process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It called.
    Client,
    /// It was called.
    Server,
}

/// The addresses of a socket over IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Who started it.
    pub source: SocketAddr,
    /// Who was called; the only address of a socket that waits for calls.
    pub destination: SocketAddr,
    /// Whether it waits for calls.
    pub listening: bool,
}

/// A layer of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The writable one.
    Upper,
    /// One that is only read.
    Lower,
}

/// What stands behind a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// What it is.
    pub kind: FdType,
    /// Path, or the addresses of a socket.
    pub name: Arc<[u8]>,
    /// The path as given; empty for what is no file.
    pub raw: Arc<[u8]>,
    /// Bits of `file_flags`.
    pub flags: u64,
    /// Device, in the kernel's own encoding.
    pub dev: u32,
    /// Inode; 0 if unknown.
    pub ino: u64,
    /// For sockets over IP.
    pub socket: Option<Box<Socket>>,
    /// For sockets over IP.
    pub protocol: Protocol,
    /// Which end of a socket this is, if that is known.
    pub end: Option<End>,
    /// Whether a socket is connected.
    pub connected: bool,
    /// The layer of an overlay that holds the file.
    pub layer: Option<Layer>,
}

impl Descriptor {
    /// One of a type without anything else known.
    pub fn new(kind: FdType) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The protocol as shown.
    pub fn shown_protocol(&self) -> Protocol {
        shown_protocol(self.protocol, self.end)
    }
}

/// The protocol as shown: only of sockets of which the end is known, or raw ones.
pub fn shown_protocol(protocol: Protocol, end: Option<End>) -> Protocol {
    if end.is_none() && protocol != Protocol::Raw { Protocol::Unknown } else { protocol }
}

/// What an event did with its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Its number; -1 if the event has none.
    pub number: i64,
    /// Whether the event gave it another name.
    pub renamed: bool,
}
