//! What the files of field rows share.

#![allow(clippy::unnecessary_wraps, reason = "getters are made of these and give an Option")]

pub(super) use saker_rules::{
    schema::{
        ArgKind::{EventType, Index, IndexOrKey, Key, Parameter, Word},
        FieldArg,
        Quantifier::{Any, Endpoints},
        SourceMask,
        field_flags::{
            COSTLY, DEPRECATED, DOTTED_ARG, FILTER_ONLY, HIDDEN, NO_RHS, NO_TRANSFORMER, SUGGESTED,
            UNAVAILABLE,
        },
    },
    value::{
        FieldType::{
            self, AbsTime, Bool, ByteBuf, CharBuf, Double, Dynamic, Int16, Int32, Int64, IpNet, Port,
            RelTime, Uint32, Uint64,
        },
        Value,
    },
};

pub(super) use super::{
    FieldRow,
    Getter::{Header as H, HostName as N, Metadata as M, Process as P, Syscall as S, Unavailable as NONE},
    K8S_AUDIT, SYSCALL, row,
};
use crate::container::Labels;
pub(super) use crate::{fd::Role, record::SyscallRecord};

const SECOND: u64 = 1_000_000_000;

pub(super) fn text(text: &(impl AsRef<[u8]> + ?Sized)) -> Option<Value<'_>> {
    Some(Value::text(text))
}

/// An empty text stands for "unknown".
pub(super) fn some(known: &str) -> Option<Value<'_>> {
    text(known).filter(|_| !known.is_empty())
}

/// All labels as one text.
pub(super) fn labels<'a>(labels: &Labels) -> Option<Value<'a>> {
    if labels.is_empty() { None } else { owned(labels.text()) }
}

pub(super) fn owned<'a>(text: impl Into<Vec<u8>>) -> Option<Value<'a>> {
    Some(Value::owned(text))
}

pub(super) fn uint<'a>(number: u64) -> Option<Value<'a>> {
    Some(Value::Uint(number))
}

/// Zero stands for "unknown".
pub(super) fn nonzero<'a>(number: u64) -> Option<Value<'a>> {
    (number != 0).then_some(Value::Uint(number))
}

pub(super) fn int<'a>(number: i64) -> Option<Value<'a>> {
    Some(Value::Int(number))
}

pub(super) fn size<'a>(number: usize) -> Option<Value<'a>> {
    uint(u64::try_from(number).ok()?)
}

pub(super) fn boolean<'a>(value: bool) -> Option<Value<'a>> {
    Some(Value::Bool(value))
}

/// The whole seconds of nanoseconds.
pub(super) fn seconds<'a>(nanoseconds: u64) -> Option<Value<'a>> {
    uint(nanoseconds / SECOND)
}

/// What is left of nanoseconds beyond whole seconds.
pub(super) fn nanoseconds<'a>(nanoseconds: u64) -> Option<Value<'a>> {
    uint(nanoseconds % SECOND)
}

/// Local time.
pub(super) fn time<'a>(ts: u64, format: &str) -> Option<Value<'a>> {
    let zoned = timestamp(ts)?.to_zoned(jiff::tz::TimeZone::system());
    owned(zoned.strftime(format).to_string())
}

/// `2026-01-31T23:59:59.000000001+0000`.
pub(super) fn iso8601<'a>(ts: u64) -> Option<Value<'a>> {
    owned(timestamp(ts)?.strftime("%Y-%m-%dT%H:%M:%S.%9f+0000").to_string())
}

fn timestamp(ts: u64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(ts.into()).ok()
}
