//! What stands on either side of a comparison: a field, or fields under transformers (specification §3.4).

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{cache::Cache, getopt, ops::bytes, render, value::Value};

/// A way to get a value from an event.
#[derive(Debug, Clone)]
pub(crate) enum Read {
    /// Index into the fields that the condition or rule set reads.
    Field(usize),
    Const(Vec<u8>),
    /// The texts of all.
    List(Vec<Read>),
    /// One text to one text; on lists for each element.
    Map(Map, Box<Read>),
    Len(Box<Read>),
    Join(Box<Read>, Vec<Read>),
    Concat(Vec<Read>),
    GetOpt {
        args: Vec<Read>,
        options: Box<Read>,
        selector: Option<u8>,
    },
}

/// The transformers of one text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Map {
    Lower,
    Upper,
    B64,
    Basename,
}

impl Read {
    /// The value, or nothing if a field it needs is absent. The fields must have been loaded.
    pub(crate) fn get<'c>(&'c self, cache: &'c Cache<'_, '_>) -> Option<Cow<'c, Value<'c>>> {
        let value = match self {
            Self::Field(slot) => return cache.get(*slot).map(Cow::Borrowed),
            Self::Const(text) => Value::text(text),
            Self::List(items) => Value::List(texts(items, cache)?.into_iter().map(Value::owned).collect()),
            Self::Map(map, inner) => map.apply_to(inner.get(cache)?.as_ref())?,
            Self::Len(inner) => length(inner.get(cache)?.as_ref())?,
            Self::Join(separator, items) => {
                let separator = separator.get(cache)?;
                Value::owned(texts(items, cache)?.join(bytes(&separator)?))
            }
            Self::Concat(items) => Value::owned(texts(items, cache)?.concat()),
            Self::GetOpt { args, options, selector } => {
                getopt::getopt(&texts(args, cache)?, bytes(options.get(cache)?.as_ref())?, *selector)?
            }
        };
        Some(Cow::Owned(value))
    }

    /// Calls `visit` for every field that is read.
    pub(crate) fn for_each_slot(&mut self, visit: &mut impl FnMut(&mut usize)) {
        match self {
            Self::Field(slot) => visit(slot),
            Self::Const(_) => {}
            Self::Map(_, inner) | Self::Len(inner) => inner.for_each_slot(visit),
            Self::Join(separator, items) => {
                separator.for_each_slot(visit);
                for_each_slot(items, visit);
            }
            Self::Concat(items) | Self::List(items) => for_each_slot(items, visit),
            Self::GetOpt { args, options, .. } => {
                options.for_each_slot(visit);
                for_each_slot(args, visit);
            }
        }
    }
}

fn for_each_slot(items: &mut [Read], visit: &mut impl FnMut(&mut usize)) {
    for item in items {
        item.for_each_slot(visit);
    }
}

impl Map {
    fn apply_to(self, value: &Value<'_>) -> Option<Value<'static>> {
        match value {
            Value::List(values) => {
                values.iter().map(|v| self.apply_to(v)).collect::<Option<_>>().map(Value::List)
            }
            Value::Bytes(data) => self.apply(data).map(|d| Value::Bytes(Cow::Owned(d))),
            other => self.apply(bytes(other)?).map(Value::owned),
        }
    }

    fn apply(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Lower => Some(text.to_ascii_lowercase()),
            Self::Upper => Some(text.to_ascii_uppercase()),
            Self::B64 => decode(text),
            Self::Basename => text.rsplit(|b| *b == b'/').next().map(<[u8]>::to_vec),
        }
    }
}

/// Base64 with or without padding.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    ENGINE.decode(text).ok()
}

/// Bytes of a text, elements of a list.
fn length(value: &Value<'_>) -> Option<Value<'static>> {
    let length = match value {
        Value::List(values) => values.len(),
        other => bytes(other)?.len(),
    };
    u64::try_from(length).ok().map(Value::Uint)
}

/// The texts of all items; lists among them count element by element.
fn texts(items: &[Read], cache: &Cache<'_, '_>) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        match item.get(cache)?.as_ref() {
            Value::List(values) => all.extend(values.iter().map(render::raw_text)),
            single => all.push(render::raw_text(single)),
        }
    }
    Some(all)
}
