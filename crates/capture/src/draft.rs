//! An event in the making, in buffers that are used again.

use saker_events::{
    Event,
    event::length_bytes,
    param,
    table::{EventRow, ParamType},
};

use crate::convert::rules::Value;

/// An event that owns its bytes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    ts: u64,
    tid: i64,
    code: u16,
    lengths: Vec<u8>,
    data: Vec<u8>,
}

impl Draft {
    pub(crate) fn start(&mut self, ts: u64, tid: i64, code: u16) {
        (self.ts, self.tid, self.code) = (ts, tid, code);
        self.lengths.clear();
        self.data.clear();
    }

    pub(crate) fn copy(&mut self, event: &Event) {
        self.start(event.ts, event.tid, event.code);
        let (lengths, data) = event.parts();
        self.lengths.extend_from_slice(lengths);
        self.data.extend_from_slice(data.get(..event.data_bytes()).unwrap_or(data));
    }

    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// Bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len().saturating_add(self.data.len())
    }

    pub(crate) fn event(&self) -> Option<Event<'_>> {
        Event::from_parts(self.ts, self.tid, self.code, &self.lengths, &self.data).ok()
    }

    /// Appends a parameter; `None` if an event cannot hold it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let width = length_bytes(self.code);
        let length = u32::try_from(bytes.len()).ok()?.to_le_bytes();
        let (written, rest) = length.split_at_checked(width)?;
        if rest.iter().any(|b| *b != 0) {
            return None;
        }
        self.lengths.extend_from_slice(written);
        self.data.extend_from_slice(bytes);
        Some(())
    }

    /// Appends what a rule says, from the event itself and its enter event.
    pub(crate) fn push_value(&mut self, own: &Event, enter: Option<&Event>, value: Value) -> Option<()> {
        match (value, enter) {
            (Value::Own(at), _) => self.push(own.param(at.into()).unwrap_or_default()),
            (Value::EnterOrDefault(at) | Value::EnterOrEmpty(at), Some(enter)) => {
                self.push(enter.param(at.into()).unwrap_or_default())
            }
            (Value::Default | Value::EnterOrDefault(_), _) => self.push_default(),
            (Value::Empty | Value::EnterOrEmpty(_), _) => self.push(&[]),
            (Value::ContainerJson, _) => self.push(&container_json(own)),
        }
    }

    fn push_default(&mut self) -> Option<()> {
        let at = self.lengths.len().checked_div(length_bytes(self.code))?;
        let ty = EventRow::of(self.code)?.params.get(at)?.ty;
        let byte = if matches!(ty, ParamType::Uid | ParamType::Gid) { 0xff } else { 0 };
        let size = param::layout(ty).map_or(0, |(size, _)| size);
        self.push([byte; 8].get(..size)?)
    }
}

/// The text that newer versions write of a container.
fn container_json(event: &Event) -> Vec<u8> {
    let text = |at| param::text(event.param(at).unwrap_or_default());
    let kind = event
        .param(1)
        .and_then(|b| param::number(ParamType::Uint32, b))
        .map_or(0, param::Number::bits)
        .to_string();
    let json = [
        br#"{"id":""#,
        text(0),
        br#"","type":"#,
        kind.as_bytes(),
        br#","name":""#,
        text(2),
        br#"","image":""#,
        text(3),
        b"\"}\0",
    ];
    json.concat()
}
