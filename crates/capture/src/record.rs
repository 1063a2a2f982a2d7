//! The body of an event block (scap-format.md §3).

use std::ops::Range;

use saker_events::{
    Event,
    event::length_bytes,
    table::{EventRow, code},
};

use crate::cursor::Cursor;

/// Bytes that two events of the first version count too much.
const V1_SURPLUS: usize = 3;

/// Where the parts of an event are inside its block's body.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) cpu: u16,
    pub(crate) flags: u32,
    pub(crate) code: u16,
    ts: u64,
    tid: i64,
    lengths: Range<usize>,
    data: Range<usize>,
}

impl Record {
    /// Reads the header into this; `None` if the event is not inside the body.
    #[inline]
    pub(crate) fn parse(&mut self, body: &[u8], flagged: bool, version: u8) -> Option<()> {
        let mut cursor = Cursor(body);
        self.cpu = cursor.u16()?;
        self.flags = if flagged { cursor.u32()? } else { 0 };
        let start = body.len().checked_sub(cursor.0.len())?;
        (self.ts, self.tid) = (cursor.u64()?, cursor.i64()?);
        let len = cursor.u32()?;
        self.code = cursor.u16()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        let count = if version == 1 { None } else { Some(usize::try_from(cursor.u32()?).ok()?) };
        let lengths = body.len().checked_sub(cursor.0.len())?;
        let event = body.get(lengths..end)?;
        let count = count.or_else(|| count_v1(self.code, event))?;
        let data = lengths.checked_add(count.checked_mul(length_bytes(self.code))?)?;
        (self.lengths, self.data) = (lengths..data, data..end);
        (data <= end).then_some(())
    }

    #[inline]
    pub(crate) fn param_count(&self) -> usize {
        if length_bytes(self.code) == 2 { self.lengths.len() / 2 } else { self.lengths.len() / 4 }
    }

    /// What follows the event in its body.
    #[inline]
    pub(crate) fn behind<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.data.end..).unwrap_or_default()
    }

    /// The event in the body it was read from; `None` if a parameter reaches beyond.
    #[inline]
    pub(crate) fn event<'a>(&self, body: &'a [u8]) -> Option<Event<'a>> {
        let (lengths, data) = (body.get(self.lengths.clone())?, body.get(self.data.clone())?);
        Event::from_parts(self.ts, self.tid, self.code, lengths, data).ok()
    }
}

/// The largest number of parameters whose lengths and bytes fill the event exactly.
fn count_v1(code: u16, event: &[u8]) -> Option<usize> {
    let surplus = matches!(code, code::NOTIFICATION_E | code::INFRASTRUCTURE_EVENT_E);
    let len = event.len().checked_sub(if surplus { V1_SURPLUS } else { 0 })?;
    let most = EventRow::of(code).map_or(0, EventRow::own_params);
    let fills = |count: &usize| {
        let Some(event) = event.get(..len) else { return false };
        let parts = count.checked_mul(length_bytes(code)).and_then(|at| event.split_at_checked(at));
        let Some((lengths, data)) = parts else { return false };
        Event::from_parts(0, 0, code, lengths, data).is_ok_and(|e| e.data_bytes() == data.len())
    };
    (0..=most).rev().find(fills)
}
