//! The file descriptor of an event: what the event itself tells, and what is known behind the number.

use std::{borrow::Cow, net::SocketAddr};

use crate::{
    Event,
    descriptor::{Descriptor, End, FdType, Layer, Protocol, Socket, Used, shown_protocol},
    fd_facts::FdFacts,
    open_call::OpenCall,
    param,
    param::{Address, Tuple},
    path,
    record::SyscallRecord,
    table::{
        CREAT_FLAGS, EventRow, FCNTL_COMMANDS, FILE_FLAGS, Link, Param, ParamPlace, ParamType, code,
        event_flags, symbol_value,
    },
};

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
    pub name: Option<Cow<'a, [u8]>>,
    raw: &'a [u8],
    /// For sockets over IP.
    pub socket: Option<Socket>,
    /// Which end of a socket the process holds.
    pub end: Option<End>,
    /// Unknown for sockets of which the end is not known.
    pub protocol: Protocol,
    /// Whether a socket is connected.
    pub connected: bool,
    /// Whether the event gave it another name.
    pub name_changed: bool,
    /// Device, in the kernel's own encoding.
    pub dev: u32,
    /// Inode; 0 if unknown.
    pub ino: u64,
    /// The layer of an overlay that holds the file.
    pub layer: Option<Layer>,
}

/// The bit of `file_flags` for reading; who reads and writes has both.
pub const O_RDONLY: u64 = 1;
/// The bit of `file_flags` for writing.
pub const O_WRONLY: u64 = 2;
/// The bit of `file_flags` for directories alone.
pub const O_DIRECTORY: u64 = 1 << 10;
/// `connect` goes on in the background.
pub const EINPROGRESS: i64 = -115;
/// Any of these, and an event has a descriptor.
const HAS_FD: u16 = event_flags::CREATES_FD | event_flags::USES_FD | event_flags::DESTROYS_FD;

impl<'a> Fd<'a> {
    /// The event's descriptor: what the event makes, what a table keeps, or only the number; `None` for events
    /// without one.
    pub fn of(record: &SyscallRecord<'a>) -> Option<Self> {
        let (event, row) = (&record.event, record.row);
        if let Some(used) = record.processes.used_descriptor() {
            return row.any(HAS_FD).then(|| Self::kept(record, used));
        }
        match event.code {
            code::SYSCALL_OPEN_X
            | code::SYSCALL_OPENAT_2_X
            | code::SYSCALL_OPENAT2_X
            | code::SYSCALL_CREAT_X => Self::opened(record),
            code::SOCKET_CONNECT_X => Self::connected(event, row),
            code::SYSCALL_PIPE_X | code::SYSCALL_PIPE2_X => Some(Self::paired(record, FdType::Pipe)),
            code::SOCKET_SOCKETPAIR_X => Some(Self::paired(record, FdType::Unix)),
            _ => Self::told(event, row).or_else(|| Self::used(record)).or_else(|| Self::missed(record)),
        }
    }

    /// What stands behind a number in a list that the event has, by a table of descriptors or by what the probe
    /// looked up; else only the number.
    pub fn listed(record: &SyscallRecord<'a>, num: i64, facts: Option<FdFacts<'a>>) -> Self {
        match (record.descriptor(num), facts) {
            (Some(known), _) => Self::behind(num, known),
            (None, Some(facts)) => Self::looked_up(num, facts),
            (None, None) => Self::numbered(num),
        }
    }

    /// The second of two descriptors that a call made.
    fn paired(record: &SyscallRecord<'a>, kind: FdType) -> Self {
        let number = |name| number_of(&record.event, record.row, name);
        match number("fd2").map(u64::cast_signed).filter(|_| record.result() == Some(0)) {
            Some(num) => Self { kind: Some(kind), ino: number("ino").unwrap_or(0), ..Self::numbered(num) },
            None => Self::derived(record, -1),
        }
    }

    /// A call that was to make a descriptor and did not.
    fn missed(record: &SyscallRecord<'a>) -> Option<Self> {
        let makes = record.row.any(event_flags::CREATES_FD) && record.failed();
        makes.then(|| Self::derived(record, -1))
    }

    fn numbered(num: i64) -> Self {
        Self {
            num,
            kind: None,
            guess: "o",
            name: Some(Cow::Borrowed(b"")),
            raw: b"",
            socket: None,
            end: None,
            protocol: Protocol::Unknown,
            connected: false,
            name_changed: false,
            dev: 0,
            ino: 0,
            layer: None,
        }
    }

    /// What a table of descriptors holds behind the number, or what the event would have made.
    fn kept(record: &SyscallRecord<'a>, used: Used) -> Self {
        let known = record.process().and_then(|p| record.processes.descriptor(p, used.number));
        let fd = known.map_or_else(|| Self::derived(record, used.number), |d| Self::behind(used.number, d));
        Self { name_changed: used.renamed, ..fd }
    }

    fn behind(num: i64, descriptor: &'a Descriptor) -> Self {
        Self {
            num,
            kind: Some(descriptor.kind),
            guess: "o",
            name: Some(Cow::Borrowed(&descriptor.name)),
            raw: &descriptor.raw,
            socket: descriptor.socket.as_deref().copied(),
            end: descriptor.end,
            protocol: shown_protocol(descriptor.protocol, descriptor.end),
            connected: descriptor.connected,
            name_changed: false,
            dev: descriptor.dev,
            ino: descriptor.ino,
            layer: descriptor.layer,
        }
    }

    /// A call that made nothing has the name of what it would have made (scap-format.md §7).
    fn derived(record: &SyscallRecord<'a>, num: i64) -> Self {
        let row = record.row;
        let name = if row.enter { Some(Cow::Borrowed(&b""[..])) } else { derived_name(record) };
        let given = if row.enter { None } else { path_given(record) };
        Self { guess: guess(record.event.code), name, raw: given.unwrap_or_default(), ..Self::numbered(num) }
    }

    /// A descriptor that the probe looked up when the event happened.
    fn told(event: &Event<'a>, row: &EventRow) -> Option<Self> {
        let facts = FdFacts::of(event, row)?;
        let number =
            |index: usize| Some(param::number(row.params.get(index)?.ty, event.param(index)?)?.signed());
        let made = number(0).filter(|made| *made >= 0 && makes_fd(event, row));
        let used = || number(row.fd_param.filter(|_| row.any(event_flags::USES_FD)).map_or(0, usize::from));
        Some(Self::looked_up(made.or_else(used)?, facts))
    }

    fn looked_up(num: i64, facts: FdFacts<'a>) -> Self {
        Self {
            num,
            kind: Some(facts.kind),
            name: Some(facts.name),
            socket: facts.socket,
            end: facts.end,
            protocol: shown_protocol(facts.protocol, facts.end),
            connected: facts.connected,
            name_changed: facts.name_changed,
            dev: facts.dev,
            ino: facts.ino,
            ..Self::numbered(num)
        }
    }

    /// A descriptor of which the event tells only the number, or that it is a directory that a path starts from.
    fn used(record: &SyscallRecord<'a>) -> Option<Self> {
        let (event, row) = (&record.event, record.row);
        let index = row.fd_param.filter(|_| row.any(event_flags::USES_FD))?;
        let num = param::number(row.params.get(usize::from(index))?.ty, event.param(index.into())?)?.signed();
        let starts = |param: &&Param| matches!(param.link, Link::Dirfd(at) if at == index);
        let path = row.params.iter().find(starts).filter(|_| num >= 0);
        let fd = Self::numbered(num);
        Some(match path.and_then(|path| record.told_directory(path.name)) {
            Some(told) => Self { kind: Some(FdType::Directory), name: Some(Cow::Borrowed(told)), ..fd },
            None => fd,
        })
    }

    fn opened(record: &SyscallRecord<'a>) -> Option<Self> {
        let call = OpenCall::of(&record.event);
        let (num, raw) = (call.fd?, param::text(call.name));
        let kind = if call.flags & O_DIRECTORY != 0 { FdType::Directory } else { FdType::File };
        Some(Self {
            num: num.max(-1),
            kind: (num >= 0).then_some(kind),
            guess: guess(record.event.code),
            name: Some(absolute(record, raw)),
            raw,
            name_changed: num >= 0,
            dev: call.dev,
            ino: call.ino,
            layer: call.layer,
            ..Self::numbered(num)
        })
    }

    fn connected(event: &Event<'a>, row: &EventRow) -> Option<Self> {
        let num = number_of(event, row, "fd")?.cast_signed();
        let result = number_of(event, row, "res")?.cast_signed();
        let tuple = event.param(1).and_then(Tuple::parse);
        let Some(tuple) = tuple.filter(|_| result >= 0 || result == EINPROGRESS) else {
            let to = event.param(3).filter(|_| !NO_SOCKET.contains(&result)).and_then(Address::parse);
            return Some(Self { kind: to.as_ref().and_then(socket_type), ..Self::numbered(num) });
        };
        let (kind, socket) = match tuple {
            Tuple::Ip(source, destination) => {
                (ip_type(destination), Some(Socket { source, destination, listening: false }))
            }
            Tuple::Unix(..) => (FdType::Unix, None),
            Tuple::Other(_) => return Some(Self::numbered(num)),
        };
        Some(Self {
            kind: Some(kind),
            name: Some(tuple.into_text().into()),
            socket,
            end: Some(End::Client),
            protocol: Protocol::of_ip(number_of(event, row, "proto").unwrap_or(0)),
            connected: socket.is_some(),
            name_changed: true,
            ..Self::numbered(num)
        })
    }

    /// The same descriptor under another name, its path as the kernel resolved it.
    #[must_use]
    pub fn renamed(self, name: &'a [u8]) -> Self {
        Self { name: Some(Cow::Borrowed(name)), ..self }
    }

    /// What `fd.typechar` shows.
    pub fn type_char(&self) -> &'static str {
        self.kind.map_or(self.guess, FdType::char)
    }

    /// Directory of a file; of a directory the path itself.
    pub fn directory(&self) -> Option<&[u8]> {
        let name = self.name.as_deref()?;
        match self.kind {
            Some(FdType::Directory) => Some(name),
            Some(FdType::File) | None => Some(path::directory(name)),
            Some(_) => None,
        }
    }

    /// Name of a file without its directory.
    pub fn filename(&self) -> Option<&[u8]> {
        let name = self.name.as_deref()?;
        self.kind.filter(|k| *k == FdType::File).map(|_| path::filename(name))
    }

    /// Whether the name is the very path that the call gave.
    pub fn is_as_given(&self) -> bool {
        self.name.as_deref() == Some(self.raw)
    }

    /// The path as given, double slashes made one.
    pub fn name_raw(&self) -> Cow<'a, [u8]> {
        // All are counted, not the first sought, so that many bytes are compared at once.
        let pairs = self.raw.iter().zip(self.raw.iter().skip(1));
        if pairs.filter(|(a, b)| **a == b'/' && **b == b'/').count() == 0 {
            return Cow::Borrowed(self.raw);
        }
        let mut raw = self.raw.to_vec();
        raw.dedup_by(|b, a| *a == b'/' && *b == b'/');
        Cow::Owned(raw)
    }

    /// What `fd.sockfamily` shows.
    pub fn family(&self) -> Option<&'static str> {
        match self.kind? {
            FdType::Ipv4 | FdType::Ipv6 => Some("ip"),
            FdType::Unix => Some("unix"),
            _ => None,
        }
    }

    /// Whose call the socket takes or makes: both ends, if it is known which is which.
    pub fn client(&self) -> Option<SocketAddr> {
        self.socket.filter(|s| self.end.is_some() && !s.listening).map(|s| s.source)
    }

    /// The end that is called; of sockets that wait for calls their own address.
    pub fn server(&self) -> Option<SocketAddr> {
        self.socket.filter(|s| self.end.is_some() || s.listening).map(|s| s.destination)
    }
}

/// Whether a call that worked made another descriptor for what it uses.
fn makes_fd(event: &Event, row: &EventRow) -> bool {
    const DUP: u64 = symbol_value(FCNTL_COMMANDS, "F_DUPFD");
    const DUP_CLOEXEC: u64 = symbol_value(FCNTL_COMMANDS, "F_DUPFD_CLOEXEC");
    let duplicates = || matches!(number_of(event, row, "cmd"), Some(DUP | DUP_CLOEXEC));
    row.any(event_flags::CREATES_FD) || (event.code == code::SYSCALL_FCNTL_X && duplicates())
}

/// The type of a socket with this address.
pub fn ip_type(address: SocketAddr) -> FdType {
    if address.is_ipv4() { FdType::Ipv4 } else { FdType::Ipv6 }
}

/// Results of calls on what is no socket: `EBADF` and `ENOTSOCK`.
const NO_SOCKET: [i64; 2] = [-9, -88];

/// The type of a socket that is to be connected with this address.
fn socket_type(to: &Address) -> Option<FdType> {
    match to {
        Address::Ip(end) => Some(ip_type(*end)),
        Address::Unix(_) => Some(FdType::Unix),
        Address::Other(_) => None,
    }
}

/// What a call would have made, as one character.
fn guess(event_code: u16) -> &'static str {
    match event_code {
        code::SYSCALL_OPENAT_2_E
        | code::SYSCALL_OPENAT_2_X
        | code::SYSCALL_OPENAT2_E
        | code::SYSCALL_OPENAT2_X
        | code::SYSCALL_CREAT_E
        | code::SYSCALL_CREAT_X => "f",
        code::SOCKET_SOCKET_X | code::SOCKET_ACCEPT_5_X | code::SOCKET_ACCEPT4_6_X => "4",
        code::SYSCALL_PIPE_X | code::SYSCALL_PIPE2_X => "p",
        code::SYSCALL_EVENTFD_X | code::SYSCALL_EVENTFD2_X => "e",
        _ => "o",
    }
}

/// The path or address that a call without a descriptor was about.
fn derived_name<'a>(record: &SyscallRecord<'a>) -> Option<Cow<'a, [u8]>> {
    let (event, row) = (&record.event, record.row);
    match event.code {
        code::SYSCALL_OPENAT_2_X | code::SYSCALL_OPENAT2_X => {
            let path = path_given(record).filter(|path| !path.is_empty())?;
            let base = record.base(number_of(event, row, "dirfd")?.cast_signed());
            Some(record.join(&base, path))
        }
        code::SYSCALL_OPEN_X
        | code::SYSCALL_CREAT_X
        | code::SOCKET_ACCEPT_5_X
        | code::SOCKET_ACCEPT4_6_X
        | code::SOCKET_CONNECT_X => Some(record.param_text(1).into()),
        code::SYSCALL_OPEN_BY_HANDLE_AT_X => Some(text_of(event, row, "path").into()),
        _ => Some(Cow::Borrowed(b"")),
    }
}

/// The path of a call that opens a file.
fn path_given<'a>(record: &SyscallRecord<'a>) -> Option<&'a [u8]> {
    let opens = matches!(
        record.event.code,
        code::SYSCALL_OPEN_X | code::SYSCALL_CREAT_X | code::SYSCALL_OPENAT_2_X | code::SYSCALL_OPENAT2_X
    );
    opens.then(|| text_of(&record.event, record.row, "name"))
}

static RESOLVED: ParamPlace = ParamPlace::new("resolved");

/// The path of the file that an event opened, as the kernel's own file has it.
pub fn resolved_path<'a>(event: &Event<'a>, row: &'static EventRow) -> Option<&'a [u8]> {
    let (at, _) = RESOLVED.of(row)?;
    Some(param::text(event.param(at)?)).filter(|path| !path.is_empty())
}

/// The layer of an overlay that holds a file, from the flags that the call that opened it tells; those of `creat` are
/// a table of their own.
pub const fn layer(event_code: u16, flags: u64) -> Option<Layer> {
    const UPPER: u64 = symbol_value(FILE_FLAGS, "FD_UPPER_LAYER");
    const LOWER: u64 = symbol_value(FILE_FLAGS, "FD_LOWER_LAYER");
    const UPPER_CREAT: u64 = symbol_value(CREAT_FLAGS, "FD_UPPER_LAYER_CREAT");
    const LOWER_CREAT: u64 = symbol_value(CREAT_FLAGS, "FD_LOWER_LAYER_CREAT");
    let (upper, lower) =
        if event_code == code::SYSCALL_CREAT_X { (UPPER_CREAT, LOWER_CREAT) } else { (UPPER, LOWER) };
    if flags & upper != 0 {
        Some(Layer::Upper)
    } else if flags & lower != 0 {
        Some(Layer::Lower)
    } else {
        None
    }
}

/// A call's path made absolute: from the directory that the probe read from the kernel, or else from the
/// working directory as last heard of; a descriptor that is not known is `<UNKNOWN>`.
fn absolute<'a>(record: &SyscallRecord, path: &'a [u8]) -> Cow<'a, [u8]> {
    if path.starts_with(b"/") {
        return record.join(b"", path);
    }
    match text_of(&record.event, record.row, "dirpath") {
        b"/" => record.join(b"/", path),
        directory if directory.starts_with(b"/") => record.join(&[directory, b"/"].concat(), path),
        _ if starts_at_cwd(&record.event, record.row) => record.join(record.cwd(), path),
        _ => record.join(UNKNOWN, path),
    }
}

/// The base of a relative path when nobody knows its directory.
pub const UNKNOWN: &[u8] = b"<UNKNOWN>";

/// Whether a relative path of the event starts from the working directory.
pub fn starts_at_cwd(event: &Event, row: &EventRow) -> bool {
    let dirfd = number_of(event, row, "dirfd").map(u64::cast_signed);
    dirfd.is_none_or(|fd| fd == AT_FDCWD)
}

/// Stands for the working directory among numbers of descriptors.
pub const AT_FDCWD: i64 = libc::AT_FDCWD as i64;

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
