//! One scap event: a header and parameters, borrowed from a ring or a capture file.
//!
//! Layout (scap-format.md §3): `u64 ts, u64 tid, u32 len, u16 code, u32 nparams`, then `nparams`
//! lengths (`u16`; `u32` for the codes with large payloads), then the parameter bytes back to back, all
//! little-endian and unaligned.

use crate::table::code;

/// Bytes of the packed header.
pub const HEADER_BYTES: usize = 26;

/// Who made a live event, read by the probe from the kernel's own task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Process id (thread group) in the initial pid namespace.
    pub tgid: u32,
    /// Start of the thread group leader, nanoseconds since boot; with `tgid` the key of the process.
    pub start: u64,
}

/// One event, not yet interpreted.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Counts from 1 over all events of this run or file.
    pub num: u64,
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Thread id in the initial pid namespace, or -1.
    pub tid: i64,
    /// CPU it happened on.
    pub cpu: u16,
    /// Row of the event table.
    pub code: u16,
    /// Known for live events.
    pub origin: Option<Origin>,
    lengths: &'a [u8],
    data: &'a [u8],
}

/// An event that outlives the ring it came from.
#[derive(Debug, Clone)]
pub struct OwnedEvent {
    /// All but the parameters.
    event: Event<'static>,
    lengths: Box<[u8]>,
    data: Box<[u8]>,
}

impl OwnedEvent {
    /// The event.
    pub fn get(&self) -> Event<'_> {
        Event { lengths: &self.lengths, data: &self.data, ..self.event }
    }

    /// Bytes of its parameters.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it has no parameters.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

/// Bytes that are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEvent {
    /// The bytes end too early.
    #[error("an event of {have} bytes lacks {missing} of them")]
    Short {
        /// Bytes given.
        have: usize,
        /// Bytes missing.
        missing: usize,
    },
}

impl<'a> Event<'a> {
    /// Bytes of its parameters.
    pub(crate) fn params_len(&self) -> usize {
        self.data.len()
    }

    /// Reads one event from the start of `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedEvent> {
        let short = |need: usize| MalformedEvent::Short {
            have: bytes.len(),
            missing: need.saturating_sub(bytes.len()),
        };
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(|| short(HEADER_BYTES))?;
        let len = usize::try_from(u32_at(header, 16)).unwrap_or(usize::MAX);
        let count = usize::try_from(u32_at(header, 22)).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..len).ok_or_else(|| short(len.max(HEADER_BYTES)))?;
        let code = u16_at(header, 20);
        let width = length_bytes(code);
        let (lengths, data) = body.split_at_checked(count.saturating_mul(width)).ok_or_else(|| short(len))?;
        Self::from_parts(u64_at(header, 0), u64_at(header, 8).cast_signed(), code, lengths, data)
    }

    /// An event from its packed lengths and its parameters back to back; bytes behind the last one are ignored.
    #[inline]
    pub fn from_parts(
        ts: u64,
        tid: i64,
        code: u16,
        lengths: &'a [u8],
        data: &'a [u8],
    ) -> Result<Self, MalformedEvent> {
        let event = Self { num: 0, ts, tid, cpu: 0, code, origin: None, lengths, data };
        match event.data_bytes().checked_sub(data.len()) {
            Some(missing) if missing > 0 => Err(MalformedEvent::Short { have: data.len(), missing }),
            _ => Ok(event),
        }
    }

    /// A copy of the event with its parameters.
    pub fn to_owned(&self) -> OwnedEvent {
        let event = Event { lengths: &[], data: &[], ..*self };
        OwnedEvent { event, lengths: self.lengths.into(), data: self.data.into() }
    }

    /// A copy with other texts for some parameters, each with its position. A text that is longer than an event can tell
    /// is cut.
    pub fn with_texts(&self, texts: &[(usize, Vec<u8>)]) -> OwnedEvent {
        let (mut lengths, mut data) = (Vec::new(), Vec::new());
        for index in 0..self.param_count() {
            let before = data.len();
            match texts.iter().find(|(at, _)| *at == index) {
                Some((_, text)) => {
                    data.extend(text.iter().take(usize::from(u16::MAX).saturating_sub(1)));
                    data.push(0);
                }
                None => data.extend(self.param(index).unwrap_or_default()),
            }
            let len = u32::try_from(data.len().saturating_sub(before)).unwrap_or(u32::MAX);
            lengths.extend(len.to_le_bytes().iter().take(length_bytes(self.code)));
        }
        let event = Event { lengths: &[], data: &[], ..*self };
        OwnedEvent { event, lengths: lengths.into(), data: data.into() }
    }

    /// How many parameters the record holds; the table's row may know fewer or more.
    #[inline]
    pub fn param_count(&self) -> usize {
        match self.lengths() {
            Lengths::Narrow(lengths) => lengths.len(),
            Lengths::Wide(lengths) => lengths.len(),
        }
    }

    /// A parameter's bytes; `None` if it is empty or missing.
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        let (start, length) = match self.lengths() {
            Lengths::Narrow(lengths) => {
                let (before, rest) = lengths.split_at_checked(index)?;
                (narrow(before), usize::from(u16::from_le_bytes(*rest.first()?)))
            }
            Lengths::Wide(lengths) => {
                let (before, rest) = lengths.split_at_checked(index)?;
                (wide(before), wide(rest.get(..1)?))
            }
        };
        if length == 0 { None } else { self.data.get(start..start.checked_add(length)?) }
    }

    /// The first parameters, all at once; those that are missing are empty.
    #[inline]
    pub fn leading<const N: usize>(&self) -> [&'a [u8]; N] {
        let mut params = [&[][..]; N];
        let mut rest = self.data;
        let mut take = |param: &mut &'a [u8], length| {
            (*param, rest) = rest.split_at_checked(length).unwrap_or_default();
        };
        match self.lengths() {
            Lengths::Narrow(all) => params.iter_mut().zip(all).for_each(|(p, l)| take(p, narrow(&[*l]))),
            Lengths::Wide(all) => params.iter_mut().zip(all).for_each(|(p, l)| take(p, wide(&[*l]))),
        }
        params
    }

    /// Bytes that the lengths announce.
    #[inline]
    pub fn data_bytes(&self) -> usize {
        match self.lengths() {
            Lengths::Narrow(lengths) => narrow(lengths),
            Lengths::Wide(lengths) => wide(lengths),
        }
    }

    /// The packed lengths and the bytes of the parameters, for writers.
    pub fn parts(&self) -> (&'a [u8], &'a [u8]) {
        (self.lengths, self.data)
    }

    /// Without the parameters behind the first `count`.
    #[inline]
    #[must_use]
    pub fn truncated(self, count: usize) -> Self {
        let bytes = count.saturating_mul(length_bytes(self.code));
        Self { lengths: self.lengths.get(..bytes).unwrap_or(self.lengths), ..self }
    }

    /// With its number and the CPU it happened on.
    #[inline]
    #[must_use]
    pub fn numbered(self, num: u64, cpu: u16) -> Self {
        Self { num, cpu, ..self }
    }

    #[inline]
    fn lengths(&self) -> Lengths<'a> {
        if length_bytes(self.code) == 2 {
            Lengths::Narrow(self.lengths.as_chunks().0)
        } else {
            Lengths::Wide(self.lengths.as_chunks().0)
        }
    }
}

/// The lengths of an event's parameters.
enum Lengths<'a> {
    Narrow(&'a [[u8; 2]]),
    Wide(&'a [[u8; 4]]),
}

/// Their sum. Adding several at once, as `sum` does, pays for many only; most events have few.
#[inline]
fn narrow(lengths: &[[u8; 2]]) -> usize {
    const FEW: usize = 10;
    let length = |bytes: &[u8; 2]| usize::from(u16::from_le_bytes(*bytes));
    let all = lengths.iter().map(length);
    if lengths.len() > FEW { all.sum() } else { all.fold(0, usize::saturating_add) }
}

fn wide(lengths: &[[u8; 4]]) -> usize {
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX);
    lengths.iter().map(length).fold(0, usize::saturating_add)
}

/// Bytes of one packed length: codes flagged `LARGE_PAYLOAD` have wide ones.
pub const fn length_bytes(code: u16) -> usize {
    match code {
        code::PLUGINEVENT_E | code::CONTAINER_JSON_2_E | code::ASYNCEVENT_E => 4,
        _ => 2,
    }
}

fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}
