//! What a field may hold.

use std::{borrow::Cow, net::IpAddr};

/// The type of a field, after the specification's names (§6). Widths matter: literals wrap to them (§3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum FieldType {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
    Double,
    /// Nanoseconds of duration.
    RelTime,
    /// Nanoseconds since the epoch.
    AbsTime,
    Port,
    IpAddr,
    IpNet,
    CharBuf,
    FsPath,
    ByteBuf,
    /// `evt.rawarg[N]`: the type of the parameter that stands there.
    Dynamic,
    /// What nothing is compared with, an address and port for instance: only `exists` is possible.
    Opaque,
}

/// A field's value on one event. Text is bytes, as the kernel gives it; it may not be UTF-8.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "one variant per family of types")]
pub enum Value<'a> {
    Bool(bool),
    Int(i64),
    /// Unsigned integers, ports, flags and times.
    Uint(u64),
    Double(f64),
    /// `CharBuf` and `FsPath`.
    Text(Cow<'a, [u8]>),
    /// `ByteBuf`.
    Bytes(Cow<'a, [u8]>),
    Ip(IpAddr),
    /// Network address and prefix length in bits.
    Net(IpAddr, u8),
    /// A list field; also the several values of a field compared as "any of" (see `Quantifier`).
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// Borrowed text.
    pub fn text(text: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Value::Text(Cow::Borrowed(text.as_ref()))
    }

    /// Owned text.
    pub fn owned(text: impl Into<Vec<u8>>) -> Self {
        Value::Text(Cow::Owned(text.into()))
    }
}
