//! What the tests of this crate share.

#![allow(dead_code, reason = "each test uses a part")]

use saker_capture::{Entry, Error, Reader};
use saker_events::Event;

/// An event with every byte that counts: empty parameters at the end are as good as none.
pub fn shown(event: &Event) -> String {
    let params: Vec<_> = (0..event.param_count())
        .map(|at| event.param(at).unwrap_or_default().escape_ascii().to_string())
        .collect();
    let Event { num, ts, tid, cpu, code, origin, .. } = event;
    let params = params.join("|");
    let params = params.trim_end_matches('|');
    format!("{num} ts {ts} tid {tid} cpu {cpu} code {code} {origin:?} [{params}]")
}

/// Everything up to the end or the first error, each entry as a text.
pub fn read(bytes: &[u8]) -> (Vec<String>, Option<Error>) {
    let mut shown_entries = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (shown_entries, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(Entry::Event { event, state_only })) => {
                shown_entries.push(format!("event {} {state_only}", shown(&event)));
            }
            Ok(Some(entry)) => shown_entries.push(format!("{entry:?}")),
            Ok(None) => return (shown_entries, None),
            Err(error) => return (shown_entries, Some(error)),
        }
    }
}

/// Bytes from words: `u8:1 u16:2 u32:3 u64:4 i64:-1`, `text:abc` behind its length, `raw:abc` without, `\0` for a
/// NUL, `entry( … )` behind its length, which counts itself, `behind( … )` behind one that does not.
pub fn bytes(words: &str) -> Vec<u8> {
    let mut stack = vec![Vec::new()];
    let mut kinds = Vec::new();
    for word in words.split_whitespace() {
        if let Some(kind) = word.strip_suffix('(') {
            kinds.push(kind);
            stack.push(Vec::new());
        } else if word == ")" {
            let inner = stack.pop().unwrap();
            let own = if kinds.pop() == Some("entry") { 4 } else { 0 };
            let outer = stack.last_mut().unwrap();
            outer.extend(u32::try_from(inner.len() + own).unwrap().to_le_bytes());
            outer.extend(inner);
        } else {
            stack.last_mut().unwrap().extend(word_bytes(word));
        }
    }
    stack.pop().unwrap()
}

fn word_bytes(word: &str) -> Vec<u8> {
    let (kind, value) = word.split_once(':').unwrap();
    let text = value.replace("\\0", "\0");
    match kind {
        "u8" => value.parse::<u8>().unwrap().to_le_bytes().to_vec(),
        "u16" => value.parse::<u16>().unwrap().to_le_bytes().to_vec(),
        "u32" => value.parse::<u32>().unwrap().to_le_bytes().to_vec(),
        "u64" => value.parse::<u64>().unwrap().to_le_bytes().to_vec(),
        "i64" => value.parse::<i64>().unwrap().to_le_bytes().to_vec(),
        "raw" => text.into_bytes(),
        "text" => [&u16::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat(),
        other => panic!("no kind of bytes: {other}"),
    }
}

/// A block around a body.
pub fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let total = u32::try_from(padded + 12).unwrap().to_le_bytes();
    let padding = vec![0; padded - body.len()];
    [&kind.to_le_bytes()[..], &total, body, &padding, &total].concat()
}

/// The header of a capture.
pub fn section() -> Vec<u8> {
    block(0x0A0D_0D0A, &bytes("u32:439041101 u16:1 u16:2 u64:18446744073709551615"))
}
