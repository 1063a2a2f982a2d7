//! The file descriptor of an event, as far as the event itself tells.

use std::{borrow::Cow, net::SocketAddr};

use crate::{
    Event, param,
    param::Tuple,
    path,
    process::Process,
    table::{EventRow, ParamType, code, event_flags},
};

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FdType {
    File,
    Directory,
    Ipv4,
    Ipv6,
    Unix,
}

impl FdType {
    /// What `fd.type` shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Unix => "unix",
        }
    }

    /// What `fd.typechar` shows.
    pub const fn char(self) -> &'static str {
        match self {
            Self::File => "f",
            Self::Directory => "d",
            Self::Ipv4 => "4",
            Self::Ipv6 => "6",
            Self::Unix => "u",
        }
    }

    /// A file or directory.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Directory)
    }

    /// A socket.
    pub const fn is_socket(self) -> bool {
        !self.is_file()
    }
}

/// A connection as one of its processes sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Who started it.
    pub source: SocketAddr,
    /// Who was called.
    pub destination: SocketAddr,
    /// Whether the process was called.
    pub is_server: bool,
}

impl Socket {
    /// Who started it.
    pub fn client(&self) -> SocketAddr {
        self.source
    }

    /// Who was called.
    pub fn server(&self) -> SocketAddr {
        self.destination
    }

    /// The process's own end.
    pub fn local(&self) -> SocketAddr {
        if self.is_server { self.destination } else { self.source }
    }

    /// The other end.
    pub fn remote(&self) -> SocketAddr {
        if self.is_server { self.source } else { self.destination }
    }
}

/// The descriptor that an event makes or uses.
#[derive(Debug, Clone)]
pub struct Fd<'a> {
    /// Its number; negative if the call failed.
    pub num: i64,
    /// `None` if nothing is known behind the number.
    pub kind: Option<FdType>,
    /// What `fd.typechar` shows then.
    guess: &'static str,
    /// Path or connection; for failed calls what it would have been.
    pub name: Cow<'a, [u8]>,
    raw: &'a [u8],
    /// For connections over IP.
    pub socket: Option<Socket>,
    protocol: u64,
    /// Whether a socket is connected.
    pub connected: bool,
    /// Whether the event gave it another name.
    pub name_changed: bool,
}

/// Protocol numbers of IP.
const IPPROTO_ICMP: u64 = 1;
const IPPROTO_TCP: u64 = 6;
const IPPROTO_UDP: u64 = 17;
const IPPROTO_RAW: u64 = 255;
/// The bit of `file_flags`.
const O_DIRECTORY: u64 = 1 << 10;
/// `connect` goes on in the background.
const EINPROGRESS: i64 = -115;

impl<'a> Fd<'a> {
    /// The event's descriptor; `None` for events without one.
    pub fn of(event: &Event<'a>, row: &EventRow, process: Option<&Process>) -> Option<Self> {
        let cwd = process.map_or(&b""[..], |p| &p.cwd);
        match event.code {
            code::SYSCALL_OPEN_X
            | code::SYSCALL_OPENAT_2_X
            | code::SYSCALL_OPENAT2_X
            | code::SYSCALL_CREAT_X => Self::opened(event, row, cwd),
            code::SOCKET_CONNECT_X => Self::connected(event, row),
            _ => Self::used(event, row),
        }
    }

    fn numbered(num: i64) -> Self {
        Self {
            num,
            kind: None,
            guess: "o",
            name: Cow::Borrowed(b""),
            raw: b"",
            socket: None,
            protocol: 0,
            connected: false,
            name_changed: false,
        }
    }

    /// A descriptor of which the event tells only the number.
    fn used(event: &Event, row: &EventRow) -> Option<Self> {
        let index = usize::from(row.fd_param.filter(|_| row.any(event_flags::USES_FD))?);
        let num = param::number(row.params.get(index)?.ty, event.param(index)?)?;
        Some(Self::numbered(num.signed()))
    }

    fn opened(event: &Event<'a>, row: &EventRow, cwd: &[u8]) -> Option<Self> {
        let num = number_of(event, row, "fd")?.cast_signed();
        let raw = text_of(event, row, "name");
        let flags = number_of(event, row, "flags").unwrap_or(0);
        let kind = if flags & O_DIRECTORY != 0 { FdType::Directory } else { FdType::File };
        Some(Self {
            num: num.max(-1),
            kind: (num >= 0).then_some(kind),
            guess: if event.code == code::SYSCALL_OPEN_X { "o" } else { "f" },
            name: absolute(event, row, cwd, raw),
            raw,
            name_changed: num >= 0,
            ..Self::numbered(num)
        })
    }

    fn connected(event: &Event<'a>, row: &EventRow) -> Option<Self> {
        let num = number_of(event, row, "fd")?.cast_signed();
        let result = number_of(event, row, "res")?.cast_signed();
        let tuple = event.param(1).and_then(Tuple::parse);
        let Some(tuple) = tuple.filter(|_| result >= 0 || result == EINPROGRESS) else {
            return Some(Self::numbered(num));
        };
        let (kind, socket) = match tuple {
            Tuple::Ip(source, destination) => {
                let kind = if destination.is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 };
                (kind, Some(Socket { source, destination, is_server: false }))
            }
            Tuple::Unix(..) => (FdType::Unix, None),
            Tuple::Other(_) => return Some(Self::numbered(num)),
        };
        Some(Self {
            kind: Some(kind),
            name: tuple.into_text().into(),
            socket,
            protocol: number_of(event, row, "proto").unwrap_or(0),
            connected: socket.is_some(),
            name_changed: true,
            ..Self::numbered(num)
        })
    }

    /// The same descriptor under another name, its path as the kernel resolved it.
    #[must_use]
    pub fn renamed(self, name: &'a [u8]) -> Self {
        Self { name: Cow::Borrowed(name), ..self }
    }

    /// What `fd.typechar` shows.
    pub fn type_char(&self) -> &'static str {
        self.kind.map_or(self.guess, FdType::char)
    }

    /// Directory of a file; of a directory the path itself.
    pub fn directory(&self) -> Option<&[u8]> {
        match self.kind {
            Some(FdType::Directory) => Some(&self.name),
            Some(FdType::File) | None => Some(path::directory(&self.name)),
            Some(_) => None,
        }
    }

    /// Name of a file without its directory.
    pub fn filename(&self) -> Option<&[u8]> {
        self.kind.filter(|k| *k == FdType::File).map(|_| path::filename(&self.name))
    }

    /// The path as given, double slashes made one.
    pub fn name_raw(&self) -> Vec<u8> {
        let mut raw = self.raw.to_vec();
        raw.dedup_by(|b, a| *a == b'/' && *b == b'/');
        raw
    }

    /// What `fd.l4proto` shows.
    pub fn l4proto(&self) -> &'static str {
        match self.protocol {
            IPPROTO_TCP => "tcp",
            IPPROTO_UDP => "udp",
            IPPROTO_ICMP => "icmp",
            IPPROTO_RAW => "raw",
            _ => "<NA>",
        }
    }

    /// What `fd.sockfamily` shows.
    pub fn family(&self) -> Option<&'static str> {
        match self.kind? {
            FdType::Ipv4 | FdType::Ipv6 => Some("ip"),
            FdType::Unix => Some("unix"),
            _ => None,
        }
    }
}

/// A call's path made absolute: from the directory that the probe read from the kernel, or else from the
/// working directory as last heard of; a descriptor that is not known is `<UNKNOWN>`.
fn absolute<'a>(event: &Event, row: &EventRow, cwd: &[u8], path: &'a [u8]) -> Cow<'a, [u8]> {
    if path.starts_with(b"/") {
        return path::join(b"", path);
    }
    match text_of(event, row, "dirpath") {
        b"/" => path::join(b"/", path),
        directory if directory.starts_with(b"/") => path::join(&[directory, b"/"].concat(), path),
        _ if starts_at_cwd(event, row) => path::join(cwd, path),
        _ => path::join(b"<UNKNOWN>", path),
    }
}

/// Whether a relative path of the event starts from the working directory.
pub fn starts_at_cwd(event: &Event, row: &EventRow) -> bool {
    let dirfd = number_of(event, row, "dirfd").map(u64::cast_signed);
    dirfd.is_none_or(|fd| fd == i64::from(libc::AT_FDCWD))
}

/// The bits of a parameter that is a number.
pub fn number_of(event: &Event, row: &EventRow, name: &str) -> Option<u64> {
    let (index, found) = row.param(name)?;
    Some(param::number(found.ty, event.param(index)?)?.bits())
}

/// The text of a parameter; empty if there is none.
pub fn text_of<'a>(event: &Event<'a>, row: &EventRow, name: &str) -> &'a [u8] {
    let text = |ty| matches!(ty, ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath);
    let index = row.param(name).filter(|(_, p)| text(p.ty)).map(|(index, _)| index);
    index.and_then(|index| event.param(index)).map(param::text).unwrap_or_default()
}

/// What a path of an event is to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one path it works on.
    Name,
    /// What it reads, moves or links.
    Source,
    /// What it makes.
    Target,
}

/// The parameters with the paths of each kind of call (scap-format.md; as Falco fills `fs.path.*`).
pub fn path_param(event_name: &str, role: Role) -> Option<&'static str> {
    match (event_name, role) {
        ("open" | "openat" | "openat2" | "unlinkat" | "umount" | "umount2", Role::Name) => Some("name"),
        ("mkdir" | "mkdirat" | "rmdir" | "unlink" | "chown" | "lchown", Role::Name) => Some("path"),
        ("fchownat", Role::Name) => Some("pathname"),
        ("chmod" | "fchmodat", Role::Name) => Some("filename"),
        ("quotactl", Role::Name) => Some("special"),
        ("mount", Role::Source) => Some("dev"),
        ("mount", Role::Target) => Some("dir"),
        ("rename" | "renameat" | "renameat2", Role::Source) | ("link" | "linkat", Role::Target) => {
            Some("oldpath")
        }
        ("rename" | "renameat" | "renameat2", Role::Target) | ("link" | "linkat", Role::Source) => {
            Some("newpath")
        }
        ("symlink" | "symlinkat", Role::Source) => Some("linkpath"),
        ("symlink" | "symlinkat", Role::Target) => Some("target"),
        _ => None,
    }
}
