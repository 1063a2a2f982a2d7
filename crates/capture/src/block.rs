//! The frames of a capture: `u32 type, u32 total, body, padding, u32 total` (scap-format.md §1).

use std::io::{self, Read};

use saker_events::{Event, table::EventRow};

use crate::{Error, cursor::Cursor, window::Window};

/// What a block holds, and in which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event { flags: bool, version: u8 },
    Section,
    Machine,
    Interfaces(u8),
    Users(u8),
    Processes(u8),
    Fds(u8),
    Unknown,
}

/// Types of blocks; the frequent ones first. Those above 8000 0000 were written before the first release.
const KINDS: [(u32, Kind); 31] = [
    (0x216, Kind::Event { flags: false, version: 2 }),
    (0x217, Kind::Event { flags: true, version: 2 }),
    (0x204, Kind::Event { flags: false, version: 1 }),
    (0x208, Kind::Event { flags: true, version: 1 }),
    (0x221, Kind::Event { flags: false, version: 2 }),
    (0x222, Kind::Event { flags: true, version: 2 }),
    (0x8010_ABCD, Kind::Event { flags: false, version: 1 }),
    (0x0A0D_0D0A, Kind::Section),
    (0x201, Kind::Machine),
    (0x8002_ABCD, Kind::Machine),
    (0x205, Kind::Interfaces(1)),
    (0x8011_ABCD, Kind::Interfaces(1)),
    (0x219, Kind::Interfaces(2)),
    (0x206, Kind::Users(1)),
    (0x8012_ABCD, Kind::Users(1)),
    (0x220, Kind::Users(2)),
    (0x202, Kind::Processes(1)),
    (0x8000_ABCD, Kind::Processes(1)),
    (0x207, Kind::Processes(2)),
    (0x8013_ABCD, Kind::Processes(2)),
    (0x209, Kind::Processes(3)),
    (0x8014_ABCD, Kind::Processes(3)),
    (0x210, Kind::Processes(4)),
    (0x211, Kind::Processes(5)),
    (0x212, Kind::Processes(6)),
    (0x213, Kind::Processes(7)),
    (0x214, Kind::Processes(8)),
    (0x215, Kind::Processes(9)),
    (0x203, Kind::Fds(1)),
    (0x8001_ABCD, Kind::Fds(1)),
    (0x218, Kind::Fds(2)),
];

/// Longer blocks are refused: no process list of a real machine comes near.
const MAX_BYTES: usize = 128 << 20;
/// The bytes of a section header that are looked at first.
const HEADER_BYTES: usize = 16;
pub(crate) const MAGIC: u32 = 0x1A2B_3C4D;
pub(crate) const MAJOR_VERSION: u16 = 1;
/// Type and both lengths.
pub(crate) const FRAME_BYTES: usize = 12;

impl Kind {
    #[inline]
    fn of(number: u32) -> Self {
        KINDS.iter().find(|(n, _)| *n == number).map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// A block that is whole in the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Where it begins in the stream.
    pub(crate) offset: u64,
    /// Its bytes with the frame.
    pub(crate) total: usize,
}

impl Block {
    /// The block at the window's start; `None` at the end of the stream.
    #[inline]
    pub(crate) fn next<R: Read>(window: &mut Window<R>) -> Result<Option<Self>, Error> {
        let offset = window.offset;
        let damaged = |expected| Error::Damaged { offset, expected };
        if !fill(window, 8)? {
            let end = window.bytes().is_empty();
            return if end { Ok(None) } else { Err(damaged("a block, but the file is cut off here")) };
        }
        let mut frame = Cursor(window.bytes());
        let (kind, total) = (Kind::of(frame.u32().unwrap_or(0)), frame.u32().unwrap_or(0));
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        if !(FRAME_BYTES..=MAX_BYTES).contains(&total) {
            return Err(damaged("a block with a length between 12 bytes and 128 MiB"));
        }
        if !fill(window, total)? {
            return Err(damaged("a whole block, but the file is cut off inside"));
        }
        let block = Self { kind, offset, total };
        let event = matches!(kind, Kind::Event { .. });
        if event || block.trailer(window) == u32::try_from(total).ok() {
            Ok(Some(block))
        } else {
            Err(damaged("a block that repeats its length at its end"))
        }
    }

    fn trailer<R: Read>(&self, window: &Window<R>) -> Option<u32> {
        let end = window.bytes().get(..self.total)?;
        end.last_chunk().map(|b| u32::from_le_bytes(*b))
    }

    /// Its body with the padding.
    #[inline]
    pub(crate) fn body<'a, R: Read>(&self, window: &'a Window<R>) -> &'a [u8] {
        let whole = window.bytes().get(8..self.total).unwrap_or_default();
        whole.split_last_chunk::<4>().map_or(&[], |(body, _)| body)
    }

    pub(crate) fn damaged(&self, expected: &'static str) -> Error {
        Error::Damaged { offset: self.offset, expected }
    }

    pub(crate) fn unconvertible(&self, event: &Event) -> Error {
        let name = EventRow::of(event.code).map_or("?", |row| row.name);
        Error::Unconvertible { offset: self.offset, event: name, params: event.param_count() }
    }
}

/// Checks that a section header with a version we can read comes next.
pub(crate) fn check_start<R: Read>(window: &mut Window<R>) -> Result<(), Error> {
    if !fill(window, HEADER_BYTES)? {
        return Err(if window.offset == 0 && window.bytes().is_empty() {
            Error::NoEvents
        } else {
            Error::NotACapture
        });
    }
    let mut header = Cursor(window.bytes());
    let (kind, _total) = (header.u32(), header.u32());
    if kind.map(Kind::of) == Some(Kind::Section) { check_header(header.0) } else { Err(Error::NotACapture) }
}

/// Checks that the body of a section header is of a version that we can read.
pub(crate) fn check_header(body: &[u8]) -> Result<(), Error> {
    let mut header = Cursor(body);
    let magic = header.u32();
    let (major, minor) = (header.u16().unwrap_or(0), header.u16().unwrap_or(0));
    match magic {
        Some(MAGIC) if major <= MAJOR_VERSION => Ok(()),
        Some(MAGIC) => Err(Error::Version { major, minor }),
        Some(magic) if magic.swap_bytes() == MAGIC => Err(Error::ByteOrder),
        _ => Err(Error::NotACapture),
    }
}

/// Fills the window, with an error that says where.
#[inline]
fn fill<R: Read>(window: &mut Window<R>, count: usize) -> Result<bool, Error> {
    let offset = window.offset;
    window.fill(count).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::Damaged { offset, expected: "more bytes, but the compressed file is cut off" }
        }
        _ => Error::Io { offset, source },
    })
}
