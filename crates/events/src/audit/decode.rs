//! Finds the audit events in a request body or a file: one `Event`, an `EventList`, arrays of either, or
//! several of them in a row (JSON lines). What cannot be used is refused by itself, with the reason.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Json, event_time, json::Bounded};

/// How deep arrays around events may lie in one another.
const ARRAYS: usize = 4;

/// What one body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one event's text.
    pub event_bytes: usize,
    /// Values inside one another in one event.
    pub depth: usize,
    /// Items of one body, used or refused.
    pub items: usize,
    /// JSON values of one event, and of all events of one [`Decoded`]. This bounds the memory: a value takes up to
    /// 100 bytes with its key, whereas `0,` is two bytes of a body.
    pub values: usize,
}

impl Default for Limits {
    /// 4 MiB, since the object of a request may have 1.5 MiB and comes twice at level RequestResponse: padding
    /// must not hide an event (Falco's `maxEventSize` is 256 KiB, specification §11). 64 levels, 5000 items, and
    /// values for 4 MiB at 30 bytes each.
    fn default() -> Self {
        Self { event_bytes: 4 << 20, depth: 64, items: 5000, values: 150_000 }
    }
}

/// One audit event.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// The whole event.
    pub json: Json,
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing.
    #[error("the body is empty; send an audit Event or EventList as JSON")]
    Empty,
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// JSON, but something else. The words are those that Falco logs.
    #[error("data not recognized as a k8s audit event: kind is neither Event nor EventList")]
    NotAnEvent,
    /// No time.
    #[error("the event has no stageTimestamp in RFC 3339 form")]
    NoTime,
    /// More bytes than [`Limits::event_bytes`].
    #[error(
        "an event of {bytes} bytes is over the limit of {limit}; let the apiserver truncate (--audit-webhook-truncate-enabled)"
    )]
    TooLarge {
        /// Bytes of the event.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More than [`Limits::depth`].
    #[error("values lie more than {limit} deep in one another")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// More than [`Limits::items`].
    #[error("more than {limit} items in one body; send smaller batches (--audit-webhook-batch-max-size)")]
    TooMany {
        /// Items allowed.
        limit: usize,
    },
    /// More than [`Limits::values`].
    #[error("an event of more than {limit} JSON values is not read")]
    TooManyValues {
        /// Values allowed.
        limit: usize,
    },
}

impl Reason {
    /// Every reason's short name, in the order of [`Reason::index`].
    pub const NAMES: [&'static str; 8] = [
        "empty",
        "syntax",
        "not_an_event",
        "no_time",
        "too_large",
        "too_deep",
        "too_many",
        "too_many_values",
    ];

    /// Place of this reason's short name in [`Reason::NAMES`].
    pub const fn index(&self) -> usize {
        match self {
            Reason::Empty => 0,
            Reason::Syntax(_) => 1,
            Reason::NotAnEvent => 2,
            Reason::NoTime => 3,
            Reason::TooLarge { .. } => 4,
            Reason::TooDeep { .. } => 5,
            Reason::TooMany { .. } => 6,
            Reason::TooManyValues { .. } => 7,
        }
    }
}

/// One refused item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its place in the body, from 1.
    pub item: usize,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}: {}", self.item, self.reason)
    }
}

/// What a body held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// In the order of the body.
    pub events: Vec<AuditEvent>,
    /// In the order of the body.
    pub rejected: Vec<Rejection>,
    /// Whether an `EventList` was among it, the form in which an API server sends, and sends again.
    pub batch: bool,
    /// The body holds more than may be in memory at once: decode on behind so many items.
    pub next: Option<usize>,
}

/// Finds all events in `body`. A refused item leaves its siblings alone; after a value that is not JSON reading goes
/// on at the next line that starts one.
pub fn decode(body: &[u8], limits: &Limits) -> Decoded {
    let mut all = decode_from(body, limits, 0);
    while let Some(skip) = all.next {
        let Decoded { events, rejected, next, .. } = decode_from(body, limits, skip);
        all.events.extend(events);
        all.rejected.extend(rejected);
        all.next = next;
    }
    all
}

/// The same behind `skip` items, and at most so many events that they have [`Limits::values`] together.
pub fn decode_from(body: &[u8], limits: &Limits, skip: usize) -> Decoded {
    let values = Cell::new(limits.values.saturating_add(1));
    let mut decoder = Decoder { limits, skip, items: 0, values, out: Decoded::default() };
    if body.trim_ascii().is_empty() {
        decoder.item(|_| Err(Reason::Empty));
    } else {
        decoder.body(body);
    }
    decoder.out
}

struct Decoder<'l> {
    limits: &'l Limits,
    skip: usize,
    items: usize,
    /// Values that may still come.
    values: Cell<usize>,
    out: Decoded,
}

/// The keys that tell a list from an event.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

impl Decoder<'_> {
    fn body(&mut self, body: &[u8]) {
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
        let mut read = 0;
        while let Some(value) = values.next() {
            match value {
                Ok(value) => self.value(value, 0),
                Err(error) => {
                    self.item(|_| Err(Reason::Syntax(error.to_string())));
                    return self.lines(body.get(read..).unwrap_or_default());
                }
            }
            read = values.byte_offset();
        }
    }

    /// Reads what follows the first line of `text`, whose first value is broken, line by line. Lines that
    /// start otherwise are taken for the broken value's rest.
    fn lines(&mut self, text: &[u8]) {
        for line in text.trim_ascii_start().split(|byte| *byte == b'\n').skip(1) {
            if line.starts_with(b"{") || line.starts_with(b"[") {
                match serde_json::from_slice(line) {
                    Ok(value) => self.value(value, 0),
                    Err(error) => self.item(|_| Err(Reason::Syntax(error.to_string()))),
                }
            }
        }
    }

    fn value(&mut self, value: &RawValue, arrays: usize) {
        if value.get().starts_with('[') && arrays < ARRAYS {
            self.each(value, &mut |decoder, item| decoder.value(item, arrays.saturating_add(1)));
            return;
        }
        let envelope: Option<Envelope> = serde_json::from_str(value.get()).ok();
        let kind = envelope.as_ref().and_then(|e| e.kind).map(RawValue::get);
        match (kind, envelope.and_then(|e| e.items)) {
            (Some(r#""EventList""#), Some(items)) if items.get().starts_with('[') => {
                self.out.batch = true;
                self.each(items, &mut |decoder, item| decoder.event(item));
            }
            (Some(r#""Event""#), _) => self.event(value),
            _ => self.item(|_| Err(Reason::NotAnEvent)),
        }
    }

    /// Hands each element of an array to `visit`, without keeping a list of them.
    fn each(&mut self, array: &RawValue, visit: &mut dyn FnMut(&mut Self, &RawValue)) {
        let elements = Elements { decoder: self, visit };
        // A raw value is well-formed, so this cannot fail; if it did, there would be nothing to visit.
        let _ = serde_json::Deserializer::from_str(array.get()).deserialize_seq(elements);
    }

    fn event(&mut self, text: &RawValue) {
        self.item(|decoder| event(text.get(), decoder.limits, &decoder.values));
    }

    /// Counts one item in and keeps what became of it; past the limit it is not even looked at.
    fn item(&mut self, read: impl FnOnce(&Self) -> Result<AuditEvent, Reason>) {
        self.items = self.items.saturating_add(1);
        let limit = self.limits.items;
        if self.items <= self.skip || self.items > limit.saturating_add(1) || self.out.next.is_some() {
            return;
        }
        let read = if self.items > limit { Err(Reason::TooMany { limit }) } else { read(self) };
        match read {
            Ok(event) => self.out.events.push(event),
            // By itself it may fit.
            Err(Reason::TooManyValues { .. }) if !self.out.events.is_empty() => {
                self.out.next = Some(self.items.saturating_sub(1));
            }
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse(&mut self, reason: Reason) {
        if matches!(reason, Reason::TooManyValues { .. }) {
            self.values.set(self.limits.values.saturating_add(1));
        }
        self.out.rejected.push(Rejection { item: self.items, reason });
    }
}

fn event(text: &str, limits: &Limits, values: &Cell<usize>) -> Result<AuditEvent, Reason> {
    let Limits { event_bytes: limit, depth, .. } = *limits;
    if text.len() > limit {
        return Err(Reason::TooLarge { bytes: text.len(), limit });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let json =
        Bounded { left: values }.deserialize(&mut reader).map_err(|e| unreadable(&e, limits, values))?;
    if json.depth() > depth {
        return Err(Reason::TooDeep { limit: depth });
    }
    if !matches!(json, Json::Object(_)) {
        return Err(Reason::NotAnEvent);
    }
    let time = event_time(&json).ok_or(Reason::NoTime)?;
    Ok(AuditEvent { time, json })
}

/// serde_json refuses more than 128 levels by itself.
fn unreadable(error: &serde_json::Error, limits: &Limits, values: &Cell<usize>) -> Reason {
    let text = error.to_string();
    if values.get() == 0 {
        Reason::TooManyValues { limit: limits.values }
    } else if text.starts_with("recursion limit") {
        Reason::TooDeep { limit: limits.depth }
    } else {
        Reason::Syntax(text)
    }
}

struct Elements<'d, 'l, 'v> {
    decoder: &'d mut Decoder<'l>,
    visit: &'v mut dyn FnMut(&mut Decoder<'l>, &RawValue),
}

impl<'de> Visitor<'de> for Elements<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.decoder.items <= self.decoder.limits.items {
            let Some(element) = seq.next_element::<&RawValue>()? else { return Ok(()) };
            (self.visit)(self.decoder, element);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
