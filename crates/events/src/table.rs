//! The event table: one row per event code, from `tables/*.tsv`.
//!
//! The rows are those of the scap format (scap-format.md §3–§5), so that live records and capture files share
//! one decoder. Parameters that only our own probe adds come last and are marked as extensions.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use saker_rules::{
    schema::{EventTypeId, EventTypeSpec},
    value::FieldType,
};

use crate::{Event, param};

/// One event of the table.
#[derive(Debug)]
pub struct EventRow {
    /// The number in an event's header.
    pub code: u16,
    /// What `evt.type` shows, except for generic events.
    pub name: &'static str,
    /// Taken when the call starts; otherwise when it returns.
    pub enter: bool,
    /// What it works on.
    pub category: Category,
    /// Who makes it.
    pub source: Source,
    /// [`event_flags`], or-ed together.
    pub flags: u16,
    /// Index of the parameter that is the event's file descriptor.
    pub fd_param: Option<u8>,
    /// Parameters in their order; extensions last.
    pub params: &'static [Param],
    /// How many of them the scap format knows.
    pub own: u8,
}

/// Properties of an event.
#[allow(missing_docs, reason = "the names are the scap format's")]
pub mod event_flags {
    pub const CREATES_FD: u16 = 1;
    pub const USES_FD: u16 = 2;
    pub const DESTROYS_FD: u16 = 4;
    pub const READS_FROM_FD: u16 = 8;
    pub const WRITES_TO_FD: u16 = 16;
    pub const WAITS: u16 = 32;
    pub const MODIFIES_STATE: u16 = 64;
    pub const LARGE_PAYLOAD: u16 = 128;
    pub const CONVERTER: u16 = 256;
    pub const OLD_VERSION: u16 = 512;
    pub const UNUSED: u16 = 1024;
    pub const SKIPPARSERESET: u16 = 2048;
}

/// What an event works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the scap format's")]
pub enum Category {
    Unknown,
    Other,
    File,
    Net,
    Ipc,
    Memory,
    Process,
    Sleep,
    System,
    Signal,
    User,
    Time,
    IoRead,
    IoWrite,
    IoOther,
    Wait,
    Scheduler,
    Internal,
}

impl Category {
    /// The word that `evt.category` shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::File => "file",
            Self::Net => "net",
            Self::Ipc => "IPC",
            Self::Memory => "memory",
            Self::Process => "process",
            Self::Sleep => "sleep",
            Self::System => "system",
            Self::Signal => "signal",
            Self::User => "user",
            Self::Time => "time",
            Self::Wait => "wait",
            Self::Scheduler => "scheduler",
            Self::Internal => "internal",
            Self::Unknown | Self::IoRead | Self::IoWrite | Self::IoOther => "unknown",
        }
    }
}

/// Who makes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the scap format's")]
pub enum Source {
    None,
    Syscall,
    Tracepoint,
    Plugin,
    Meta,
    Iter,
}

/// One parameter of an event.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// What `evt.arg` calls it.
    pub name: &'static str,
    /// How its bytes are read.
    pub ty: ParamType,
    /// How a number is printed.
    pub format: Format,
    /// What else its text needs.
    pub link: Link,
    /// Not in the scap table: our probe adds it.
    pub extension: bool,
}

/// Encodings of a parameter (scap-format.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the scap format's")]
pub enum ParamType {
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Flags8,
    Flags16,
    Flags32,
    Enumflags8,
    Enumflags16,
    Enumflags32,
    Mode,
    Errno,
    Fd,
    Fd32,
    Pid,
    Pid32,
    Uid,
    Gid,
    Port,
    Sigtype,
    Sigset,
    Syscallid,
    Reltime,
    Abstime,
    Ipv4addr,
    Ipv6addr,
    Charbuf,
    Fspath,
    Fsrelpath,
    Bytebuf,
    Sockaddr,
    Socktuple,
    Fdlist,
    Dyn,
    Charbufarray,
    CharbufPairArray,
}

/// How a number is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Na,
    Dec,
    Hex,
    Oct,
}

/// What a parameter's text needs beside its bytes.
#[derive(Debug, Clone, Copy)]
pub enum Link {
    /// Nothing.
    None,
    /// Names of the bits or numbers.
    Symbols(&'static [Symbol]),
    /// What a `Dyn` parameter may be, by its first byte.
    Choices(&'static [Param]),
    /// The parameter with the directory that a path is relative to.
    Dirfd(u8),
}

/// A name of a number or bit.
#[derive(Debug, Clone, Copy)]
pub struct Symbol {
    /// `O_CREAT`.
    pub name: &'static str,
    /// As the event carries it; for flags not the kernel's own value.
    pub value: u64,
}

/// A system call.
#[derive(Debug)]
pub struct SyscallRow {
    /// Its name.
    pub name: &'static str,
    /// Its number inside `Syscallid` parameters, the same on every machine.
    pub id: u16,
    /// Its number on x86_64.
    pub x86_64: Option<u16>,
    /// Its numbers for 32-bit programs on x86_64.
    pub i386: &'static [u16],
    /// Its number on aarch64.
    pub aarch64: Option<u16>,
    /// Code of the event made when it returns; [`code::GENERIC_X`] for calls without their own.
    pub exit_event: u16,
}

mod rows {
    #![allow(clippy::unreadable_literal, reason = "generated from the tables")]
    use super::{
        Category, EventRow, Format, Link, Param, ParamType, Source, Symbol, SyscallRow, event_flags,
    };

    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}

pub use rows::*;

impl EventRow {
    /// The row of a code; `None` for codes newer than the table.
    #[inline]
    pub fn of(code: u16) -> Option<&'static Self> {
        EVENTS.get(usize::from(code))
    }

    /// Whether any of the given [`event_flags`] is set.
    #[inline]
    pub fn any(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether it stands for calls that have no event of their own.
    pub fn is_generic(&self) -> bool {
        self.code <= code::GENERIC_X
    }

    /// How many parameters the scap format knows; those of our own probe follow them.
    pub fn own_params(&self) -> usize {
        self.own.into()
    }

    /// Position and row of a parameter.
    pub fn param(&self, name: &str) -> Option<(usize, &'static Param)> {
        self.params.iter().enumerate().find(|(_, p)| p.name == name)
    }
}

/// Where a parameter of one name stands in each event, found once for all.
#[derive(Debug)]
pub struct ParamPlace {
    name: &'static str,
    places: OnceLock<Vec<Option<usize>>>,
}

impl ParamPlace {
    /// The places of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, places: OnceLock::new() }
    }

    /// Its position in an event and its row.
    pub fn of(&self, row: &'static EventRow) -> Option<(usize, &'static Param)> {
        let find = |row: &EventRow| row.param(self.name).map(|(at, _)| at);
        let places = self.places.get_or_init(|| EVENTS.iter().map(find).collect());
        let at = (*places.get(usize::from(row.code))?)?;
        Some((at, row.params.get(at)?))
    }
}

impl Param {
    /// Whether it is a path that may start from a directory: not where a symbolic link points to.
    pub fn may_be_relative(&self) -> bool {
        let is_path = matches!(self.ty, ParamType::Fspath | ParamType::Fsrelpath) || self.name == "path";
        is_path && !self.extension
    }

    /// The names of its bits or numbers.
    pub fn symbols(&self) -> &'static [Symbol] {
        match self.link {
            Link::Symbols(symbols) => symbols,
            _ => &[],
        }
    }
}

/// The value of a symbol, or 0 if the table has none of that name.
pub const fn symbol_value(symbols: &[Symbol], name: &str) -> u64 {
    let mut rest = symbols;
    while let Some((symbol, others)) = rest.split_first() {
        if same(symbol.name.as_bytes(), name.as_bytes()) {
            return symbol.value;
        }
        rest = others;
    }
    0
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let (Some((first, rest)), Some((other, others))) = (a.split_first(), b.split_first()) {
        if *first != *other {
            return false;
        }
        (a, b) = (rest, others);
    }
    a.is_empty() && b.is_empty()
}

/// The system call with this number inside an event.
pub fn syscall(id: u16) -> Option<&'static SyscallRow> {
    static BY_ID: OnceLock<FxHashMap<u16, &'static SyscallRow>> = OnceLock::new();
    BY_ID.get_or_init(|| SYSCALLS.iter().map(|s| (s.id, s)).collect()).get(&id).copied()
}

/// The system calls that make events of these names, in the order of the table.
pub fn syscalls_of(event_names: &[&str]) -> Vec<&'static str> {
    let made = |call: &&SyscallRow| {
        let row = EventRow::of(call.exit_event).filter(|_| call.exit_event != code::GENERIC_X);
        event_names.contains(&row.map_or(call.name, |row| row.name))
    };
    SYSCALLS.iter().filter(made).map(|call| call.name).collect()
}

/// Whether a system call makes events of this name, or has this name itself.
pub fn makes(call: &SyscallRow, event_name: &str) -> bool {
    let own = EventRow::of(call.exit_event).filter(|_| call.exit_event != code::GENERIC_X);
    call.name == event_name || own.is_some_and(|row| row.name == event_name)
}

/// Names of `evt.type` and their numbers.
struct EventTypes {
    specs: Vec<EventTypeSpec>,
    by_code: Vec<EventTypeId>,
    by_syscall: FxHashMap<u16, EventTypeId>,
    /// By the number on x86_64, for calls that had no number in events when they were recorded.
    by_native: FxHashMap<u16, EventTypeId>,
}

impl EventTypes {
    fn new() -> Self {
        let mut types = Self {
            specs: Vec::new(),
            by_code: Vec::new(),
            by_syscall: FxHashMap::default(),
            by_native: FxHashMap::default(),
        };
        let mut by_name = FxHashMap::default();
        let generic = || EVENTS.iter().filter(|row| row.is_generic()).flat_map(|row| row.params);
        for row in &EVENTS {
            let codes = u16::from(!row.any(event_flags::UNUSED));
            let id = types.add(&mut by_name, row.name, codes, row.params.iter());
            types.by_code.push(id);
        }
        for call in &SYSCALLS {
            let known = by_name.contains_key(call.name);
            let id = types.add(&mut by_name, call.name, if known { 0 } else { 2 }, generic());
            types.by_syscall.insert(call.id, id);
            if let Some(native) = call.x86_64 {
                types.by_native.insert(native, id);
            }
        }
        types
    }

    fn add(
        &mut self,
        by_name: &mut FxHashMap<&'static str, EventTypeId>,
        name: &'static str,
        codes: u16,
        params: impl Iterator<Item = &'static Param>,
    ) -> EventTypeId {
        let next = EventTypeId(u16::try_from(self.specs.len()).unwrap_or(u16::MAX));
        let id = *by_name.entry(name).or_insert(next);
        if id == next {
            self.specs.push(EventTypeSpec { name, codes: 0, parameters: Vec::new() });
        }
        if let Some(spec) = self.specs.get_mut(usize::from(id.0)) {
            spec.codes = spec.codes.saturating_add(codes);
            spec.parameters.extend(params.map(|param| param.name));
            spec.parameters.sort_unstable();
            spec.parameters.dedup();
        }
        id
    }

    fn get() -> &'static Self {
        static TYPES: OnceLock<EventTypes> = OnceLock::new();
        TYPES.get_or_init(Self::new)
    }
}

/// Every value of `evt.type`: names of events, then of the calls that share the generic ones.
pub fn event_types() -> &'static [EventTypeSpec] {
    &EventTypes::get().specs
}

/// The parameters of all events with their types, first those of the scap table in its order.
pub fn parameter_types() -> impl Iterator<Item = (&'static str, FieldType)> {
    let params =
        |extension| EVENTS.iter().flat_map(|row| row.params).filter(move |p| p.extension == extension);
    params(false).chain(params(true)).map(|p| (p.name, param::field_type(p.ty)))
}

/// The type of an event: its row's, or its system call's if it is generic.
pub fn event_type(event: &Event) -> EventTypeId {
    let types = EventTypes::get();
    let number = |at| event.param(at).and_then(|b| b.first_chunk()).map(|b| u16::from_le_bytes(*b));
    let found = match event.code {
        code::GENERIC_E | code::GENERIC_X => match number(0) {
            Some(0) => number(1).and_then(|native| types.by_native.get(&native)),
            id => id.and_then(|id| types.by_syscall.get(&id)),
        },
        _ => None,
    };
    found.or_else(|| types.by_code.get(usize::from(event.code))).copied().unwrap_or(EventTypeId(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_codes() {
        assert_eq!(EVENTS.len(), 454);
        for (code, row) in EVENTS.iter().enumerate() {
            assert_eq!(usize::from(row.code), code);
            assert_eq!(row.enter, code % 2 == 0, "{}", row.name);
            let extensions = row.params.iter().skip_while(|p| !p.extension);
            assert!(extensions.clone().all(|p| p.extension), "{}: extensions come last", row.name);
        }
    }

    #[test]
    fn every_fd_and_dirfd_points_at_a_descriptor() {
        for row in &EVENTS {
            let links = row.params.iter().filter_map(|p| match p.link {
                Link::Dirfd(index) => Some(index),
                _ => None,
            });
            for index in links.chain(row.fd_param) {
                let ty = row.params[usize::from(index)].ty;
                assert!(matches!(ty, ParamType::Fd | ParamType::Fd32), "{} {index}", row.name);
            }
        }
    }

    #[test]
    fn event_types_are_unique_and_count_their_codes() {
        let names: std::collections::BTreeSet<_> = event_types().iter().map(|t| t.name).collect();
        assert_eq!(names.len(), event_types().len());
        let codes = |name| event_types().iter().find(|t| t.name == name).map(|t| t.codes);
        assert_eq!(codes("openat"), Some(4), "both directions of both versions");
        assert_eq!(codes("madvise"), Some(2), "the two generic events");
    }
}
