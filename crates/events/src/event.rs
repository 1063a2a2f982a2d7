//! One scap event: a header and parameters, borrowed from a ring or a capture file.
//!
//! Layout (scap-format.md §3): `u64 ts, u64 tid, u32 len, u16 code, u32 nparams`, then `nparams`
//! lengths (`u16`), then the parameter bytes back to back, all little-endian and unaligned.

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
    /// Reads one event from the start of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedEvent> {
        let short = |need: usize| MalformedEvent::Short {
            have: bytes.len(),
            missing: need.saturating_sub(bytes.len()),
        };
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(|| short(HEADER_BYTES))?;
        let len = usize::try_from(u32_at(header, 16)).unwrap_or(usize::MAX);
        let count = usize::try_from(u32_at(header, 22)).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..len).ok_or_else(|| short(len.max(HEADER_BYTES)))?;
        let (lengths, data) = body.split_at_checked(count.saturating_mul(2)).ok_or_else(|| short(len))?;
        let event = Self {
            num: 0,
            ts: u64_at(header, 0),
            tid: u64_at(header, 8).cast_signed(),
            cpu: 0,
            code: u16_at(header, 20),
            origin: None,
            lengths,
            data,
        };
        let total: usize = event.lengths().sum();
        if total > data.len() {
            Err(short(len.saturating_add(total).saturating_sub(data.len())))
        } else {
            Ok(event)
        }
    }

    /// A copy of the event with its parameters.
    pub fn to_owned(&self) -> OwnedEvent {
        let event = Event { lengths: &[], data: &[], ..*self };
        OwnedEvent { event, lengths: self.lengths.into(), data: self.data.into() }
    }

    /// How many parameters the record holds; the table's row may know fewer or more.
    pub fn param_count(&self) -> usize {
        self.lengths.len() / 2
    }

    /// A parameter's bytes; `None` if it is empty or missing.
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        let start: usize = self.lengths().take(index).sum();
        let length = self.lengths().nth(index).filter(|l| *l > 0)?;
        self.data.get(start..start.checked_add(length)?)
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        self.lengths.as_chunks::<2>().0.iter().map(|b| usize::from(u16::from_le_bytes(*b)))
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
