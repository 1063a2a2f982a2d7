//! Writes scap records (scap-format.md §3, §4) from parameters by name.

use std::net::{IpAddr, SocketAddr};

use saker_events::{
    event::HEADER_BYTES,
    table::{EVENTS, EventRow, Param, ParamType, event_flags},
};
use serde_json::Value;

/// Address families as the records carry them.
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// When and by which thread an event was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Thread id.
    pub tid: u64,
}

/// The newest row by which a system call is told when it returns.
pub(super) fn exit_row(name: &str) -> Option<&'static EventRow> {
    let current = |row: &&EventRow| !row.any(event_flags::OLD_VERSION | event_flags::UNUSED);
    EVENTS.iter().filter(|row| row.name == name).rfind(current)
}

/// A record: the header and the encoded parameters.
pub(super) fn record(row: &EventRow, stamp: Stamp, params: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let body: usize = params.iter().map(|p| p.len().saturating_add(2)).sum();
    let too_long = |_| format!("the event {} is too long", row.name);
    let length = u32::try_from(HEADER_BYTES.saturating_add(body)).map_err(too_long)?;
    let mut bytes = Vec::new();
    bytes.extend(stamp.ts.to_le_bytes());
    bytes.extend(stamp.tid.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(row.code.to_le_bytes());
    bytes.extend(u32::try_from(params.len()).map_err(too_long)?.to_le_bytes());
    for param in params {
        bytes.extend(u16::try_from(param.len()).map_err(too_long)?.to_le_bytes());
    }
    bytes.extend(params.concat());
    Ok(bytes)
}

/// The bytes of a parameter's value as a case writes it.
pub(super) fn encode(param: &Param, value: &Value) -> Result<Vec<u8>, String> {
    let bytes = match (param.ty, value) {
        (_, Value::Null) => Some(Vec::new()),
        (ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath, Value::String(text)) => {
            Some(nul_terminated(text))
        }
        (ParamType::Bytebuf, Value::String(text)) => Some(text.clone().into_bytes()),
        (ParamType::Bytebuf, Value::Array(items)) => list(items),
        (ParamType::Sockaddr, Value::String(text)) => Some(address(text)?),
        (ParamType::Socktuple, Value::String(text)) => Some(tuple(text)?),
        (_, Value::String(names)) => number(param.ty, symbols(param, names)?.cast_signed()),
        (_, Value::Number(n)) => n.as_i64().and_then(|n| number(param.ty, n)),
        _ => None,
    };
    bytes.ok_or_else(|| format!("the parameter `{}` cannot hold {value}", param.name))
}

/// A number in the parameter's width; `None` for types that hold no number.
pub(super) fn number(ty: ParamType, value: i64) -> Option<Vec<u8>> {
    let width = match ty {
        ParamType::Uint8 | ParamType::Flags8 | ParamType::Enumflags8 | ParamType::Sigtype => 1,
        ParamType::Int16
        | ParamType::Uint16
        | ParamType::Flags16
        | ParamType::Enumflags16
        | ParamType::Port
        | ParamType::Syscallid => 2,
        ParamType::Int32
        | ParamType::Uint32
        | ParamType::Flags32
        | ParamType::Enumflags32
        | ParamType::Mode
        | ParamType::Uid
        | ParamType::Gid
        | ParamType::Fd32
        | ParamType::Pid32
        | ParamType::Sigset => 4,
        ParamType::Int64
        | ParamType::Uint64
        | ParamType::Errno
        | ParamType::Fd
        | ParamType::Pid
        | ParamType::Reltime
        | ParamType::Abstime => 8,
        _ => return None,
    };
    value.to_le_bytes().get(..width).map(<[u8]>::to_vec)
}

/// `O_WRONLY|O_CREAT` by the parameter's own names.
fn symbols(param: &Param, names: &str) -> Result<u64, String> {
    let value = |name: &str| {
        let known = param.symbols().iter().find(|s| s.name == name.trim());
        known.map(|s| s.value).ok_or_else(|| unknown_symbol(param, name))
    };
    names.split('|').map(value).try_fold(0, |all, one| Ok(all | one?))
}

fn unknown_symbol(param: &Param, name: &str) -> String {
    let known: Vec<_> = param.symbols().iter().map(|s| s.name).collect();
    if known.is_empty() {
        return format!("the parameter `{}` takes a number, not '{name}'", param.name);
    }
    format!("the parameter `{}` has no value '{name}'; it knows {}", param.name, known.join(", "))
}

pub(super) fn nul_terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn list(items: &[Value]) -> Option<Vec<u8>> {
    let items: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(nul_terminated)).collect();
    items.map(|items| items.concat())
}

fn inet(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address: write 192.0.2.1:80 or [2001:db8::1]:80"))
}

fn address(text: &str) -> Result<Vec<u8>, String> {
    if text.starts_with('/') {
        return Ok([&[AF_UNIX], nul_terminated(text).as_slice()].concat());
    }
    let address = inet(text)?;
    Ok([&[family(&address)], endpoint(&address).as_slice()].concat())
}

/// `source->destination`, or `->/path` for a Unix socket.
fn tuple(text: &str) -> Result<Vec<u8>, String> {
    let ends = text.split_once("->").ok_or_else(|| format!("'{text}' is no connection: write FROM->TO"))?;
    if ends.1.starts_with('/') {
        let pointers = [0; 16];
        return Ok([&[AF_UNIX], pointers.as_slice(), &nul_terminated(ends.1)].concat());
    }
    let (from, to) = (inet(ends.0)?, inet(ends.1)?);
    if family(&from) != family(&to) {
        return Err(format!("'{text}' mixes IPv4 and IPv6"));
    }
    Ok([&[family(&from)], endpoint(&from).as_slice(), &endpoint(&to)].concat())
}

fn family(address: &SocketAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn endpoint(address: &SocketAddr) -> Vec<u8> {
    let port = address.port().to_le_bytes();
    match address.ip() {
        IpAddr::V4(ip) => [ip.octets().as_slice(), &port].concat(),
        IpAddr::V6(ip) => [ip.octets().as_slice(), &port].concat(),
    }
}
