//! Bytes of a parameter as a value and as plain text (scap-format.md §4 and §9).

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use saker_rules::value::{FieldType, Value};

use crate::table::{Format, Link, Param, ParamType, SIGNAL, Symbol};

/// A number with the sign its type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Of a signed type.
    Int(i64),
    /// Of an unsigned type.
    Uint(u64),
}

impl Number {
    /// The number; unsigned ones above the maximum wrap.
    pub fn signed(self) -> i64 {
        match self {
            Self::Int(n) => n,
            Self::Uint(n) => n.cast_signed(),
        }
    }

    /// The number's bits.
    pub fn bits(self) -> u64 {
        match self {
            Self::Int(n) => n.cast_unsigned(),
            Self::Uint(n) => n,
        }
    }
}

/// Size of a type's numbers in bytes and whether they have a sign; `None` for what is no number.
#[inline]
pub const fn layout(ty: ParamType) -> Option<(usize, bool)> {
    match signed_size(ty) {
        0 => None,
        size => Some((size.unsigned_abs() as usize, size < 0)),
    }
}

/// The same as one number, negative for those with a sign: a table for the compiler, not branches.
const fn signed_size(ty: ParamType) -> i8 {
    use ParamType as T;
    match ty {
        T::Int16 => -2,
        T::Int32 | T::Fd32 | T::Pid32 => -4,
        T::Int64 | T::Errno | T::Fd | T::Pid => -8,
        T::Uint8 | T::Flags8 | T::Enumflags8 | T::Sigtype => 1,
        T::Uint16 | T::Flags16 | T::Enumflags16 | T::Port | T::Syscallid => 2,
        T::Uint32 | T::Flags32 | T::Enumflags32 | T::Mode | T::Uid | T::Gid | T::Sigset | T::Ipv4addr => 4,
        T::Uint64 | T::Reltime | T::Abstime | T::Charbufarray | T::CharbufPairArray => 8,
        _ => 0,
    }
}

/// The number in a parameter; `None` for other types and wrong sizes.
#[inline]
pub fn number(ty: ParamType, bytes: &[u8]) -> Option<Number> {
    let (size, signed) = layout(ty)?;
    if bytes.len() != size {
        return None;
    }
    Some(match (bytes, signed) {
        (&[a], _) => Number::Uint(a.into()),
        (&[a, b], true) => Number::Int(i16::from_le_bytes([a, b]).into()),
        (&[a, b], false) => Number::Uint(u16::from_le_bytes([a, b]).into()),
        (&[a, b, c, d], true) => Number::Int(i32::from_le_bytes([a, b, c, d]).into()),
        (&[a, b, c, d], false) => Number::Uint(u32::from_le_bytes([a, b, c, d]).into()),
        (_, true) => Number::Int(i64::from_le_bytes(*bytes.first_chunk()?)),
        (_, false) => Number::Uint(u64::from_le_bytes(*bytes.first_chunk()?)),
    })
}

/// Text without its closing NUL; `(NULL)` is how old captures write nothing.
pub fn text(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if text == b"(NULL)" { b"" } else { text }
}

/// The same, but `<NA>` if nothing was written; a text without characters is something.
pub fn told(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() || bytes == b"(NULL)\0" { b"<NA>" } else { text(bytes) }
}

/// A number with a sign of eight bytes, as descriptors and results are.
#[inline]
pub fn int(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_le_bytes)
}

/// A number of eight bytes.
#[inline]
pub fn long(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A number of four bytes.
#[inline]
pub fn word(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// What a `Dyn` parameter holds this time.
fn choice<'a>(param: &Param, bytes: &'a [u8]) -> Option<(Param, &'a [u8])> {
    let (index, rest) = bytes.split_first()?;
    let Link::Choices(choices) = param.link else { return None };
    let inner = choices.get(usize::from(*index))?;
    Some((Param { format: param.format, ..*inner }, rest))
}

/// The parameter with the type it has on this event, and its bytes.
pub fn concrete<'a>(param: &Param, bytes: &'a [u8]) -> (Param, &'a [u8]) {
    choice(param, bytes).unwrap_or((*param, bytes))
}

/// The parameter as a value of its own type; `None` if it is empty or malformed.
pub fn value<'a>(param: &Param, bytes: &'a [u8]) -> Option<Value<'a>> {
    let (param, bytes) = concrete(param, bytes);
    if let Some(number) = number(param.ty, bytes) {
        return Some(match number {
            Number::Uint(n) if param.ty == ParamType::Ipv4addr => Value::Ip(ipv4(n)),
            Number::Int(n) => Value::Int(n),
            Number::Uint(n) => Value::Uint(n),
        });
    }
    match param.ty {
        ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath => Some(Value::text(text(bytes))),
        ParamType::Bytebuf | ParamType::Fdlist => Some(Value::Bytes(bytes.into())),
        ParamType::Sockaddr | ParamType::Socktuple => {
            let mut shown = Vec::new();
            raw(&param, bytes, &mut shown);
            Some(Value::owned(shown))
        }
        ParamType::Ipv6addr => Some(Value::Ip(Ipv6Addr::from(*bytes.first_chunk()?).into())),
        _ => None,
    }
}

/// What a parameter is to conditions (specification §3.2).
pub const fn field_type(ty: ParamType) -> FieldType {
    use ParamType as T;
    match ty {
        T::Int16 => FieldType::Int16,
        T::Int32 | T::Fd32 | T::Pid32 => FieldType::Int32,
        T::Int64 | T::Errno | T::Fd | T::Pid => FieldType::Int64,
        T::Uint8 | T::Flags8 | T::Enumflags8 | T::Sigtype => FieldType::Uint8,
        T::Uint16 | T::Flags16 | T::Enumflags16 | T::Syscallid => FieldType::Uint16,
        T::Uint32 | T::Flags32 | T::Enumflags32 | T::Mode => FieldType::Uint32,
        T::Uint64 => FieldType::Uint64,
        T::Port => FieldType::Port,
        T::Reltime => FieldType::RelTime,
        T::Abstime => FieldType::AbsTime,
        T::Ipv4addr | T::Ipv6addr => FieldType::IpAddr,
        T::Charbuf => FieldType::CharBuf,
        T::Fspath | T::Fsrelpath => FieldType::FsPath,
        T::Bytebuf => FieldType::ByteBuf,
        _ => FieldType::Opaque,
    }
}

fn ipv4(bits: u64) -> IpAddr {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    Ipv4Addr::new(a, b, c, d).into()
}

/// Appends the plain text of a parameter, as `evt.args` shows it before the brackets.
pub fn raw(param: &Param, bytes: &[u8], out: &mut Vec<u8>) {
    use ParamType as T;
    let (param, bytes) = concrete(param, bytes);
    if bytes.is_empty() {
        let null = matches!(param.ty, T::Bytebuf | T::Socktuple | T::Fdlist | T::Dyn);
        return out.extend_from_slice(if null { b"NULL" } else { b"<NA>" });
    }
    if let Some(number) = number(param.ty, bytes) {
        return raw_number(&param, number, out);
    }
    match param.ty {
        T::Charbuf | T::Fspath | T::Fsrelpath => out.extend_from_slice(told(bytes)),
        T::Bytebuf => out.extend(bytes.iter().map(|b| printable(*b))),
        T::Sockaddr => show(out, Address::parse(bytes).map(Address::into_text)),
        T::Socktuple => show(out, Tuple::parse(bytes).map(|t| t.into_text())),
        T::Fdlist => {
            let shown = fd_list(bytes).map(|(fd, events)| format!("{fd}:?{events:x}"));
            out.extend_from_slice(shown.collect::<Vec<_>>().join(" ").as_bytes());
        }
        _ => out.extend_from_slice(b"<NA>"),
    }
}

fn show(out: &mut Vec<u8>, text: Option<Vec<u8>>) {
    out.extend(text.unwrap_or_else(|| b"<NA>".to_vec()));
}

fn printable(byte: u8) -> u8 {
    if byte.is_ascii_graphic() || byte == b' ' { byte } else { b'.' }
}

fn raw_number(param: &Param, number: Number, out: &mut Vec<u8>) {
    use ParamType as T;
    let (bits, signed) = (number.bits(), number.signed());
    let shown = match (param.ty, param.format) {
        (T::Flags8 | T::Flags16 | T::Flags32 | T::Enumflags8 | T::Enumflags16 | T::Enumflags32, _) => {
            bits.to_string()
        }
        (T::Errno, _) => signed.to_string(),
        (T::Uid | T::Gid, _) if bits == u64::from(u32::MAX) => "-1".to_owned(),
        (T::Reltime, _) if bits == u64::MAX => "none".to_owned(),
        (T::Abstime, _) => local_time(bits),
        (T::Sigset, _) => signal_names(bits),
        (T::Ipv4addr, _) => ipv4(bits).to_string(),
        (T::Sigtype, _) => bits.to_string(),
        (ty, Format::Hex) => format!("{:X}", own_bits(ty, bits)),
        (_, Format::Oct) if bits != 0 => format!("0{bits:o}"),
        (T::Uint32, _) => u32::try_from(bits).map_or(0, u32::cast_signed).to_string(),
        _ => signed.to_string(),
    };
    out.extend_from_slice(shown.as_bytes());
}

fn local_time(ts: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(ts.into());
    time.map_or_else(
        |_| ts.to_string(),
        |t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%9f").to_string(),
    )
}

/// The bits of a number without those that its sign was spread over.
fn own_bits(ty: ParamType, bits: u64) -> u64 {
    let size = layout(ty).map_or(8, |(size, _)| size);
    let spread = u32::try_from(size).ok().and_then(|size| 64u32.checked_sub(size.checked_mul(8)?));
    bits & u64::MAX.checked_shr(spread.unwrap_or(0)).unwrap_or(u64::MAX)
}

fn signal_names(set: u64) -> String {
    let bit = |s: &&Symbol| s.value.checked_sub(1).and_then(|n| 1u64.checked_shl(u32::try_from(n).ok()?));
    let names: Vec<_> =
        SIGNAL.iter().filter(|s| bit(s).is_some_and(|b| set & b != 0)).map(|s| s.name).collect();
    names.join(" ")
}

/// The descriptors of a `Fdlist` parameter and the bits of their events.
pub fn fd_list(bytes: &[u8]) -> impl Iterator<Item = (i64, u16)> {
    let entries = bytes.get(2..).unwrap_or_default().as_chunks::<10>().0.iter();
    let numbers = |e: &[u8; 10]| Some((e.first_chunk().copied()?, e.last_chunk().copied()?));
    entries.filter_map(numbers).map(|(fd, events)| (i64::from_le_bytes(fd), u16::from_le_bytes(events)))
}

/// Nanoseconds as seconds with six significant digits (C's `%g`).
pub fn seconds(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "six digits are shown")]
    let value = nanoseconds as f64 / 1e9;
    let scientific = format!("{value:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut shown = String::new();
    let written = if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5i32.saturating_sub(exponent)).unwrap_or(0);
        shown.push_str(trim_zeros(&format!("{value:.decimals$}")));
        Ok(())
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(shown, "{}e{sign}{:02}", trim_zeros(digits), exponent.unsigned_abs())
    };
    if written.is_err() {
        return scientific;
    }
    shown.push('s');
    shown
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// One end of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address<'a> {
    /// IPv4 or IPv6.
    Ip(SocketAddr),
    /// A Unix socket's path; abstract names without their NUL.
    Unix(&'a [u8]),
    /// A family of which only the number is known.
    Other(u8),
}

/// Both ends of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tuple<'a> {
    /// Source and destination.
    Ip(SocketAddr, SocketAddr),
    /// Kernel addresses of source and destination, and the path.
    Unix(u64, u64, &'a [u8]),
    /// A family of which only the number is known.
    Other(u8),
}

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl<'a> Address<'a> {
    /// Reads a `Sockaddr` parameter.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first()?;
        match *family {
            AF_INET | AF_INET6 => Some(Self::Ip(end(*family, rest)?.0)),
            AF_UNIX => Some(Self::Unix(rest.strip_suffix(b"\0")?)),
            other => Some(Self::Other(other)),
        }
    }

    /// As sockets keep it: IPv4 inside IPv6 as IPv4.
    #[must_use]
    pub fn unmapped(self) -> Self {
        match self {
            Self::Ip(end) => Self::Ip(as_ipv4([end, end])[0]),
            other => other,
        }
    }

    /// As `evt.args` shows it.
    pub fn into_text(self) -> Vec<u8> {
        match self {
            Self::Ip(end) => ip_text(end).into_bytes(),
            Self::Unix(path) => path.to_vec(),
            Self::Other(family) => format!("family {family}").into_bytes(),
        }
    }
}

impl<'a> Tuple<'a> {
    /// Reads a `Socktuple` parameter.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first()?;
        match *family {
            AF_INET | AF_INET6 => {
                let (source, rest) = end(*family, rest)?;
                let (destination, _) = end(*family, rest)?;
                let [source, destination] = as_ipv4([source, destination]);
                Some(Self::Ip(source, destination))
            }
            AF_UNIX => {
                let (source, rest) = rest.split_first_chunk()?;
                let (destination, path) = rest.split_first_chunk()?;
                let path = path.strip_suffix(b"\0")?;
                Some(Self::Unix(u64::from_le_bytes(*source), u64::from_le_bytes(*destination), path))
            }
            other => Some(Self::Other(other)),
        }
    }

    /// As `fd.name` shows it.
    pub fn into_text(&self) -> Vec<u8> {
        match self {
            Self::Ip(source, destination) => {
                format!("{}->{}", ip_text(*source), ip_text(*destination)).into_bytes()
            }
            Self::Unix(source, destination, path) => {
                [format!("{source:x}->{destination:x} ").as_bytes(), path].concat()
            }
            Self::Other(family) => format!("family {family}").into_bytes(),
        }
    }
}

/// Address and port at the start of the bytes, and what follows.
fn end(family: u8, bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest): (IpAddr, _) = if family == AF_INET {
        let (ip, rest) = bytes.split_first_chunk::<4>()?;
        (Ipv4Addr::from(*ip).into(), rest)
    } else {
        let (ip, rest) = bytes.split_first_chunk::<16>()?;
        (Ipv6Addr::from(*ip).into(), rest)
    };
    let (port, rest) = rest.split_first_chunk()?;
    Some((SocketAddr::new(ip, u16::from_le_bytes(*port)), rest))
}

/// Two ends as IPv4 if both are IPv4 inside IPv6, or nothing (scap-format.md §7).
pub fn as_ipv4(ends: [SocketAddr; 2]) -> [SocketAddr; 2] {
    let inside = |end: SocketAddr| match end.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(ip) => ip.to_ipv4_mapped(),
        IpAddr::V4(ip) => Some(ip),
    };
    match ends.map(inside) {
        [Some(source), Some(destination)] => [
            SocketAddr::new(source.into(), ends[0].port()),
            SocketAddr::new(destination.into(), ends[1].port()),
        ],
        _ => ends,
    }
}

/// `ip:port`, for IPv6 too without brackets.
pub fn ip_text(end: SocketAddr) -> String {
    format!("{}:{}", ip_only(end.ip()), end.port())
}

/// An address as the C library writes it: of IPv6 addresses that hold an IPv4 one in their last bytes and else
/// nothing, the last bytes as IPv4.
pub fn ip_only(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(v6) if matches!(v6.segments(), [0, 0, 0, 0, 0, 0, high, _] if high != 0) => {
            let [.., a, b, c, d] = v6.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        ip => ip.to_string(),
    }
}
