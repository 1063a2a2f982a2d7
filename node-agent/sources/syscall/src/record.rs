//! A record as the probe writes it: a prefix of 24 bytes, then one scap event. `record.h` is the other side.

use saker_events::{Event, MalformedEvent, Origin};

/// Bytes of the prefix.
pub const PREFIX_BYTES: usize = 24;
/// Where the record's time lies: the first word of the event's header.
const TIME_AT: usize = PREFIX_BYTES;

/// Which ring a record came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// What keeps the process table true: fork, exec, exit.
    Rare,
    /// Everything else.
    Bulk,
}

impl Lane {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Rare, Self::Bulk];
    /// The name in metrics and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Bulk => "bulk",
        }
    }
}

/// What the probe says about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one bit each in the probe's flags")]
pub struct Prefix {
    /// Counts from 1 per CPU and lane over sent and lost records.
    pub seq: u64,
    /// Who made the event.
    pub origin: Origin,
    /// CPU it happened on.
    pub cpu: u16,
    /// Ring it came through.
    pub lane: Lane,
    /// It tells of a state, not of something that happened.
    pub state_only: bool,
    /// Some parameter was cut or left out.
    pub truncated: bool,
    /// The filter would have left it out.
    pub rejected: bool,
    /// The agent did it to test the hook whose number stands in the place of the event's code.
    pub marker: bool,
    /// Which half it is of an event that comes as two records.
    pub half: Option<Half>,
}

/// A half of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// What was asked for.
    First {
        /// If it succeeds, no second half comes.
        alone: bool,
    },
    /// What came of it.
    Last,
}

/// A decoded record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What the probe says about it.
    pub prefix: Prefix,
    /// The event; its `ts` is nanoseconds since boot.
    pub event: Event<'a>,
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRecord {
    /// Not even a prefix.
    #[error("a record of {0} bytes has no room for its prefix")]
    Short(usize),
    /// A lane that does not exist.
    #[error("there is no lane {0}")]
    Lane(u8),
    /// The event behind the prefix.
    #[error(transparent)]
    Event(#[from] MalformedEvent),
}

impl<'a> Record<'a> {
    /// Reads the record that fills `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedRecord> {
        let (prefix, rest) =
            bytes.split_first_chunk::<PREFIX_BYTES>().ok_or(MalformedRecord::Short(bytes.len()))?;
        let prefix = Prefix::parse(*prefix)?;
        let mut event = Event::parse(rest)?;
        event.cpu = prefix.cpu;
        event.origin = Some(prefix.origin);
        Ok(Self { prefix, event })
    }
}

impl Prefix {
    pub(crate) fn parse(bytes: [u8; PREFIX_BYTES]) -> Result<Self, MalformedRecord> {
        let [
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            p0,
            p1,
            p2,
            p3,
            c0,
            c1,
            lane,
            flags,
        ] = bytes;
        let lane = match lane {
            0 => Lane::Rare,
            1 => Lane::Bulk,
            other => return Err(MalformedRecord::Lane(other)),
        };
        let origin = Origin {
            tgid: u32::from_le_bytes([p0, p1, p2, p3]),
            start: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
        };
        Ok(Self {
            seq: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            origin,
            cpu: u16::from_le_bytes([c0, c1]),
            lane,
            state_only: flags & 1 != 0,
            truncated: flags & 2 != 0,
            rejected: flags & 4 != 0,
            marker: flags & 8 != 0,
            half: Half::of(flags),
        })
    }
}

impl Half {
    const fn of(flags: u8) -> Option<Self> {
        match flags & 0x70 {
            0x10 => Some(Self::First { alone: false }),
            0x50 => Some(Self::First { alone: true }),
            0x20 => Some(Self::Last),
            _ => None,
        }
    }
}

/// The record's time in nanoseconds since boot; 0 if it is too short to have one.
pub(crate) fn time(bytes: &[u8]) -> u64 {
    bytes.get(TIME_AT..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

/// Size of the record that begins `bytes`; `None` while its header is not complete.
pub(crate) fn size(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.get(PREFIX_BYTES.saturating_add(16)..)?.first_chunk()?);
    PREFIX_BYTES.checked_add(usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with one parameter of two bytes.
    fn record(lane: u8, flags: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(5_000_u64.to_le_bytes());
        bytes.extend(42_u32.to_le_bytes());
        bytes.extend(3_u16.to_le_bytes());
        bytes.extend([lane, flags]);
        bytes.extend(900_u64.to_le_bytes());
        bytes.extend(43_u64.to_le_bytes());
        bytes.extend(30_u32.to_le_bytes());
        bytes.extend(186_u16.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(2_u16.to_le_bytes());
        bytes.extend([8, 9]);
        bytes
    }

    #[test]
    fn a_record_is_read() {
        let bytes = record(1, 6);
        let half = |flags| Record::parse(&record(1, flags)).unwrap().prefix.half;
        assert_eq!((half(0x50), half(0x20)), (Some(Half::First { alone: true }), Some(Half::Last)));
        let Record { prefix, event } = Record::parse(&bytes).unwrap();
        let origin = Origin { tgid: 42, start: 5_000 };
        let known = Prefix {
            seq: 7,
            origin,
            cpu: 3,
            lane: Lane::Bulk,
            state_only: false,
            truncated: true,
            rejected: true,
            marker: false,
            half: None,
        };
        assert_eq!(prefix, known);
        assert_eq!((event.cpu, event.origin, event.ts, event.tid), (3, Some(origin), 900, 43));
        assert_eq!(event.param(0), Some(&[8, 9][..]));
        assert_eq!((time(&bytes), size(&bytes)), (900, Some(bytes.len())));
    }

    #[test]
    fn process_ids_may_use_all_their_bits() {
        let mut bytes = record(0, 0);
        let (tgid, tid) = (i32::MAX.cast_unsigned(), i64::from(i32::MAX));
        bytes[16..20].copy_from_slice(&tgid.to_le_bytes());
        bytes[PREFIX_BYTES + 8..PREFIX_BYTES + 16].copy_from_slice(&tid.to_le_bytes());
        let Record { prefix, event } = Record::parse(&bytes).unwrap();
        assert_eq!((prefix.origin.tgid, event.tid), (tgid, tid));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(Record::parse(&[0; 23]).unwrap_err(), MalformedRecord::Short(23));
        assert_eq!(Record::parse(&record(2, 0)).unwrap_err(), MalformedRecord::Lane(2));
        let cut = record(0, 1);
        assert!(matches!(Record::parse(&cut[..cut.len() - 1]), Err(MalformedRecord::Event(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(record) = Record::parse(&bytes) {
                for at in 0..record.event.param_count() {
                    prop_assert!(record.event.param(at).is_none_or(|param| param.len() <= bytes.len()));
                }
            }
            prop_assert!(size(&bytes).is_none_or(|size| size >= PREFIX_BYTES));
        }
    }
}
