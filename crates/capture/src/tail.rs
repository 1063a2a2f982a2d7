//! What Saker's own captures tell behind an event, where other readers look no further: the length in an event's
//! header may be less than its block's (scap-format.md §3).
//!
//! `"SAKR", u16 flags, u16 count, [u32 tgid, u64 start], count × u16 lengths, the parameters back to back`. The
//! parameters are the probe's own, which stand behind the table's in a live event.

use saker_events::{Event, Origin};

use crate::{cursor::Cursor, out::Out};

const MAGIC: [u8; 4] = *b"SAKR";
/// Bit of the flags: who made the event follows.
const HAS_ORIGIN: u16 = 1;

/// Decoded from the bytes behind an event.
#[derive(Debug)]
pub(crate) struct Tail<'a> {
    pub(crate) origin: Option<Origin>,
    lengths: &'a [u8],
    params: &'a [u8],
}

impl<'a> Tail<'a> {
    /// `None` for padding and whatever else others leave there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut tail = Cursor(bytes.strip_prefix(&MAGIC)?);
        let (flags, count) = (tail.u16()?, tail.u16()?);
        let origin = if flags & HAS_ORIGIN == 0 {
            None
        } else {
            Some(Origin { tgid: tail.u32()?, start: tail.u64()? })
        };
        let lengths = tail.bytes(usize::from(count).checked_mul(2)?)?;
        Some(Self { origin, lengths, params: tail.0 })
    }

    /// The parameters behind the table's; one that reaches beyond the block is empty.
    pub(crate) fn params(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Cursor(self.params);
        self.lengths
            .as_chunks::<2>()
            .0
            .iter()
            .map(move |len| rest.bytes(usize::from(u16::from_le_bytes(*len))).unwrap_or_default())
    }
}

/// Whether a tail begins here.
#[inline]
pub(crate) fn is_at(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Appends what the first `own` parameters do not tell; nothing if that is all.
pub(crate) fn write(out: &mut Out, event: &Event, own: usize) {
    let params = (own..event.param_count()).map(|at| event.param(at).unwrap_or_default());
    let short = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(0);
    let count = u16::try_from(params.len()).unwrap_or(0);
    if count == 0 && event.origin.is_none() {
        return;
    }
    out.bytes(&MAGIC);
    out.u16(if event.origin.is_some() { HAS_ORIGIN } else { 0 });
    out.u16(count);
    if let Some(Origin { tgid, start }) = event.origin {
        out.u32(tgid);
        out.u64(start);
    }
    params.clone().for_each(|bytes| out.u16(short(bytes)));
    params.for_each(|bytes| out.bytes(bytes.get(..usize::from(short(bytes))).unwrap_or_default()));
}
