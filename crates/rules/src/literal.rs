//! Literals: escapes in quoted text, and text to a value of a field's type (specification §3.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{limits::MAX_LITERAL_BYTES, ops::ports, value::FieldType};

/// A constant on the right side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// Wrapped to the field's width.
    Number(i128),
    Double(f64),
    Bool(bool),
    Text(Vec<u8>),
    Ip(IpAddr),
    Net(IpAddr, u8),
    /// For a field whose type is known on the event only.
    Dynamic(Vec<u8>),
}

impl Literal {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Resolves the escapes of a quoted text; the error says what is wrong.
pub(crate) fn unescape(text: &str, quote: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            out.push(escape(&mut bytes, quote)?);
        } else {
            out.push(byte);
        }
    }
    Ok(out)
}

fn escape(bytes: &mut std::str::Bytes<'_>, quote: u8) -> Result<u8, String> {
    let Some(byte) = bytes.next() else { return Err("unsupported string escape sequence at the end".into()) };
    match byte {
        b'b' => Ok(0x08),
        b'f' => Ok(0x0c),
        b'n' => Ok(b'\n'),
        b'r' => Ok(b'\r'),
        b't' => Ok(b'\t'),
        // The blank behind a backslash is dropped.
        b'\\' | b' ' => Ok(b'\\'),
        b'/' => Ok(b'/'),
        b'x' => hex_pair(bytes.next(), bytes.next())
            .ok_or_else(|| "invalid string escape: '\\x' needs two hexadecimal digits".into()),
        b'"' | b'\'' if byte == quote => Ok(byte),
        other => Err(format!("unsupported string escape sequence: '\\{}'", char::from(other))),
    }
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// An even number of hexadecimal digits to bytes.
pub(crate) fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks(2).map(|pair| hex_pair(pair.first().copied(), pair.get(1).copied())).collect()
}

/// Text to a value of this type; the error says why not.
pub(crate) fn parse(text: &[u8], ty: FieldType) -> Result<Literal, String> {
    if text.len() > MAX_LITERAL_BYTES {
        let length = text.len();
        return Err(format!("filter parameter too long: {length} bytes, at most {MAX_LITERAL_BYTES}"));
    }
    if ty != FieldType::ByteBuf && text.contains(&0) {
        return Err("a NUL byte is only possible in a value of a byte buffer field".into());
    }
    let shown = String::from_utf8_lossy(text);
    match ty {
        FieldType::CharBuf | FieldType::FsPath | FieldType::ByteBuf => Ok(Literal::Text(text.to_vec())),
        FieldType::Dynamic => Ok(Literal::Dynamic(text.to_vec())),
        FieldType::Bool => boolean(&shown),
        FieldType::IpAddr => ip(&shown).map(Literal::Ip),
        FieldType::IpNet => net(&shown),
        FieldType::Port => port(&shown),
        FieldType::Double => integer(&shown, FieldType::Int32).map(as_double),
        _ => integer(&shown, ty).map(Literal::Number),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the value has 32 bits")]
fn as_double(number: i128) -> Literal {
    Literal::Double(number as f64)
}

fn boolean(text: &str) -> Result<Literal, String> {
    text.parse().map(Literal::Bool).map_err(|_| {
        format!("filter error: unrecognized boolean value '{text}', only 'true' and 'false' are possible")
    })
}

fn ip(text: &str) -> Result<IpAddr, String> {
    let parsed = if text.contains('.') {
        text.parse().map(|a: Ipv4Addr| IpAddr::V4(a)).ok()
    } else {
        text.parse().map(|a: Ipv6Addr| IpAddr::V6(a)).ok()
    };
    parsed.ok_or_else(|| format!("unrecognized IP address {text}"))
}

fn net(text: &str) -> Result<Literal, String> {
    let bad = || format!("unrecognized network {text}: write it like 10.0.0.0/8");
    let (address, bits) = text.split_once('/').ok_or_else(bad)?;
    let address = ip(address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|b| *b <= most).ok_or_else(bad)?;
    Ok(Literal::Net(address, bits))
}

fn port(text: &str) -> Result<Literal, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return integer(text, FieldType::Port).map(Literal::Number);
    }
    let number = ports::by_name(text);
    number.map(|p| Literal::Number(p.into())).ok_or_else(|| format!("unrecognized service name {text}"))
}

/// Like scanf: a sign is possible, nothing may follow; wraps to the width of the type.
pub(crate) fn integer(text: &str, ty: FieldType) -> Result<i128, String> {
    let digits = text.trim_start_matches(|c: char| matches!(c, ' ' | '\t'..='\r'));
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("error parsing number '{text}': only decimal integers are possible"));
    }
    let magnitude = unsigned.parse::<u64>().unwrap_or(u64::MAX);
    Ok(wrap(i128::from(magnitude), digits.starts_with('-'), ty))
}

/// Saturates to 64 bits as strtol and strtoul do, then keeps the low bits.
#[expect(clippy::cast_possible_truncation, reason = "literals wrap to the width of the field")]
#[expect(clippy::cast_sign_loss, reason = "negative literals of unsigned fields wrap")]
fn wrap(magnitude: i128, negative: bool, ty: FieldType) -> i128 {
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    let signed = value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    let unsigned = value as u64;
    match ty {
        FieldType::Int8 => i128::from(signed as i8),
        FieldType::Int16 => i128::from(signed as i16),
        FieldType::Int32 => i128::from(signed as i32),
        FieldType::Int64 => i128::from(signed),
        FieldType::Uint8 => i128::from(unsigned as u8),
        FieldType::Uint16 | FieldType::Port => i128::from(unsigned as u16),
        FieldType::Uint32 => i128::from(unsigned as u32),
        _ => i128::from(unsigned),
    }
}
