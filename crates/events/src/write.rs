//! Events in the layout of scap files, made from values: for captures, tests and rule tests.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value as Json;

use crate::table::{EventRow, Param, ParamType};

/// A value that a parameter cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// The event table has no such event.
    #[error("there is no event '{0}': use a name of evt.type with an event of its own")]
    Event(String),
    /// The event has no such parameter.
    #[error("event '{event}' has no parameter '{param}': use one of {known}")]
    Param {
        /// The event's name.
        event: &'static str,
        /// The name given.
        param: String,
        /// The event's parameters.
        known: String,
    },
    /// The value is of the wrong type.
    #[error("parameter '{param}' cannot be {value}: give {expected}")]
    Value {
        /// The parameter's name.
        param: &'static str,
        /// The value given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// Longer than an event can say.
    #[error("parameter '{param}' has {len} bytes: give at most 65535")]
    Long {
        /// The parameter's name.
        param: &'static str,
        /// Its bytes.
        len: usize,
    },
}

/// The bytes of an event. Parameters longer than their lengths can tell are cut (65 535 bytes, but for few events);
/// those beyond 4 GiB in total are lost.
pub fn event(ts: u64, tid: i64, code: u16, params: &[Vec<u8>]) -> Vec<u8> {
    let width = crate::event::length_bytes(code);
    let longest = if width == 2 { u32::from(u16::MAX) } else { u32::MAX };
    let cut = |p: &Vec<u8>| u32::try_from(p.len()).unwrap_or(longest).min(longest);
    let lengths: Vec<u8> = params.iter().flat_map(|p| cut(p).to_le_bytes().into_iter().take(width)).collect();
    let whole = |p: &Vec<u8>| usize::try_from(cut(p)).unwrap_or(usize::MAX);
    let data: Vec<u8> = params.iter().flat_map(|p| p.iter().copied().take(whole(p))).collect();
    let len = crate::event::HEADER_BYTES.saturating_add(lengths.len()).saturating_add(data.len());
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(ts.to_le_bytes());
    bytes.extend(tid.to_le_bytes());
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(code.to_le_bytes());
    bytes.extend(u32::try_from(params.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(lengths);
    bytes.extend(data);
    bytes
}

/// The newest version of an event by name: the exit event, or the only one there is.
pub fn row(name: &str) -> Result<&'static EventRow, Unwritable> {
    let same = crate::table::EVENTS.iter().filter(|r| r.name == name && !r.params.is_empty());
    let newest = same.max_by_key(|r| (!r.enter, r.code));
    newest.ok_or_else(|| Unwritable::Event(name.to_owned()))
}

/// The bytes of all parameters of an event, from those that are named; the others are empty.
pub fn params(
    row: &'static EventRow,
    named: &serde_json::Map<String, Json>,
) -> Result<Vec<Vec<u8>>, Unwritable> {
    let mut bytes = vec![Vec::new(); row.params.len()];
    for (name, value) in named {
        let (index, found) = row.param(name).ok_or_else(|| unknown_param(row, name))?;
        if let Some(slot) = bytes.get_mut(index) {
            *slot = param(found, value)?;
        }
    }
    Ok(bytes)
}

fn unknown_param(row: &'static EventRow, name: &str) -> Unwritable {
    let known: Vec<&str> = row.params.iter().map(|p| p.name).collect();
    Unwritable::Param { event: row.name, param: name.to_owned(), known: known.join(", ") }
}

/// The bytes of one parameter: numbers from numbers, texts from texts, lists of texts from arrays, addresses
/// from `ip:port` or a path, tuples from `[source, destination]`.
pub fn param(param: &Param, value: &Json) -> Result<Vec<u8>, Unwritable> {
    use ParamType as T;
    let wrong = |expected| Unwritable::Value { param: param.name, value: value.to_string(), expected };
    let bytes = match param.ty {
        T::Charbuf | T::Fspath | T::Fsrelpath => {
            let text = value.as_str().ok_or_else(|| wrong("a text"))?;
            [text.as_bytes(), b"\0"].concat()
        }
        T::Bytebuf => list(value).ok_or_else(|| wrong("a text or a list of texts"))?,
        T::Sockaddr => address(value.as_str()).ok_or_else(|| wrong("\"ip:port\" or a path"))?,
        T::Socktuple => tuple(value).ok_or_else(|| wrong("[\"ip:port\", \"ip:port\"] or a path"))?,
        _ => number(param.ty, value).ok_or_else(|| wrong("a number that fits its type"))?,
    };
    let len = bytes.len();
    if len > usize::from(u16::MAX) { Err(Unwritable::Long { param: param.name, len }) } else { Ok(bytes) }
}

fn number(ty: ParamType, value: &Json) -> Option<Vec<u8>> {
    let wide = value.as_i64().map(i64::to_le_bytes).or_else(|| value.as_u64().map(u64::to_le_bytes))?;
    let (size, _) = crate::param::layout(ty)?;
    let bytes = wide.get(..size)?.to_vec();
    let read = crate::param::number(ty, &bytes)?;
    let same = value.as_i64() == Some(read.signed()) || value.as_u64() == Some(read.bits());
    same.then_some(bytes)
}

fn list(value: &Json) -> Option<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let items: Option<Vec<&str>> = value.as_array()?.iter().map(Json::as_str).collect();
    Some(items?.iter().flat_map(|item| [item.as_bytes(), b"\0"].concat()).collect())
}

fn address(text: Option<&str>) -> Option<Vec<u8>> {
    let text = text?;
    if text.starts_with('/') {
        return Some([&[1], text.as_bytes(), b"\0"].concat());
    }
    let end = text.parse().ok()?;
    Some([&[family(end)], end_bytes(end).as_slice()].concat())
}

fn tuple(value: &Json) -> Option<Vec<u8>> {
    if let Some(path) = value.as_str() {
        return Some([&[1][..], &[0; 16], path.as_bytes(), b"\0"].concat());
    }
    let ends: Vec<SocketAddr> =
        value.as_array()?.iter().map(|e| e.as_str()?.parse().ok()).collect::<Option<_>>()?;
    let [source, destination] = ends.as_slice() else { return None };
    Some([&[family(*source)], end_bytes(*source).as_slice(), end_bytes(*destination).as_slice()].concat())
}

fn family(end: SocketAddr) -> u8 {
    if end.is_ipv4() { 2 } else { 10 }
}

fn end_bytes(end: SocketAddr) -> Vec<u8> {
    let mut bytes = match end.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(end.port().to_le_bytes());
    bytes
}
