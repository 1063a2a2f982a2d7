//! The operators: what one comparison does with one value (specification §3.3).

pub(crate) mod glob;
pub(crate) mod paths;
pub(crate) mod pattern;
pub(crate) mod ports;
mod set;

use std::{cmp::Ordering, net::IpAddr};

use aho_corasick::AhoCorasick;
use memchr::memmem::{self, Finder};

use crate::{
    ast::{Modifier, Op},
    literal::{self, Literal},
    ops::{glob::Glob, paths::PathTrie, pattern::Pattern},
    value::{FieldType, Value},
};

pub(crate) use set::Set;

/// The right side of a comparison with its operator, ready to use.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Exists,
    Equal(Literal),
    Differ(Literal),
    Order(Op, Literal),
    Contains(Box<Finder<'static>>),
    IContains(AhoCorasick),
    StartsWith(Vec<u8>),
    EndsWith(Vec<u8>),
    Glob(Glob),
    Regex(Pattern),
    In(Box<Set>),
    Intersects(Box<Set>),
    PMatch(PathTrie),
    Modified(Modifier, Vec<Test>),
}

/// How the several values of one field combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combine {
    /// A list field: `in` holds for every element, `intersects` for one.
    List,
    /// One value satisfies the test.
    Any,
    /// Like `Any`, but `!=` must hold for every value: it does if there are none.
    Endpoints,
}

impl Test {
    /// The test of an operator with one literal; the error says why the literal does not fit.
    pub(crate) fn with_literal(op: Op, text: &[u8], ty: FieldType) -> Result<Self, String> {
        let value = literal::parse(text, ty)?;
        Ok(match op {
            Op::Exists => Self::Exists,
            Op::Eq | Op::EqEq => Self::Equal(value),
            Op::Ne => Self::Differ(value),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => Self::Order(op, value),
            Op::Contains => Self::contains(text),
            Op::IContains => Self::icontains(text)?,
            Op::BContains => Self::contains(&hexadecimal(text)?),
            Op::StartsWith => Self::StartsWith(text.to_vec()),
            Op::BStartsWith => Self::StartsWith(hexadecimal(text)?),
            Op::EndsWith => Self::EndsWith(text.to_vec()),
            Op::Glob => Self::Glob(Glob::new(text, false)),
            Op::IGlob => Self::Glob(Glob::new(text, true)),
            Op::Regex => Self::Regex(Pattern::new(text)?),
            Op::In => Self::In(Box::new(Set::new(vec![value]))),
            Op::Intersects => Self::Intersects(Box::new(Set::new(vec![value]))),
            Op::PMatch => Self::PMatch(PathTrie::new([text])),
        })
    }

    /// The test of `in`, `intersects` or `pmatch` with its list.
    pub(crate) fn with_list(op: Op, texts: &[Vec<u8>], ty: FieldType) -> Result<Self, String> {
        let values: Vec<_> = texts.iter().map(|t| literal::parse(t, ty)).collect::<Result<_, _>>()?;
        Ok(match op {
            Op::PMatch => Self::PMatch(PathTrie::new(texts.iter().map(Vec::as_slice))),
            Op::Intersects => Self::Intersects(Box::new(Set::new(values))),
            _ => Self::In(Box::new(Set::new(values))),
        })
    }

    fn contains(needle: &[u8]) -> Self {
        Self::Contains(Box::new(Finder::new(needle).into_owned()))
    }

    fn icontains(needle: &[u8]) -> Result<Self, String> {
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build([needle]);
        built.map(Self::IContains).map_err(|e| e.to_string())
    }

    /// The compiled size of its patterns, bytes.
    pub(crate) fn pattern_bytes(&self) -> usize {
        match self {
            Self::Glob(glob) => glob.size(),
            Self::Regex(pattern) => pattern.size(),
            Self::Modified(_, tests) => tests.iter().map(Self::pattern_bytes).sum(),
            _ => 0,
        }
    }

    /// The texts that a value is compared with, if the test asks for nothing but whether it is one of them.
    pub(crate) fn equal_texts(&self) -> Option<Vec<&[u8]>> {
        match self {
            Self::Equal(literal) | Self::Differ(literal) => Some(vec![literal.text()?]),
            Self::In(set) | Self::Intersects(set) => set.texts(),
            Self::Modified(_, tests) => {
                let each: Option<Vec<_>> = tests.iter().map(Self::equal_texts).collect();
                each.map(|each| each.concat())
            }
            _ => None,
        }
    }

    /// What it takes, in comparisons of a number.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Exists => 1,
            Self::Equal(literal) | Self::Differ(literal) | Self::Order(_, literal) => {
                if literal.text().is_some() { 2 } else { 1 }
            }
            Self::StartsWith(_) | Self::EndsWith(_) => 2,
            Self::In(_) | Self::Intersects(_) => 3,
            Self::Contains(_) | Self::IContains(_) => 6,
            Self::PMatch(_) | Self::Glob(_) => 16,
            Self::Regex(_) => 64,
            Self::Modified(_, tests) => tests.iter().map(Self::cost).fold(0, usize::saturating_add),
        }
    }

    /// How often it holds by experience, percent.
    pub(crate) fn chance(&self) -> usize {
        match self {
            Self::Exists => 90,
            Self::Equal(Literal::Bool(_)) | Self::Differ(Literal::Bool(_)) | Self::Order(..) => 50,
            Self::Equal(_) => 2,
            Self::Differ(_) => 98,
            Self::Modified(Modifier::AnyOf, tests) => {
                tests.iter().map(Self::chance).fold(0, usize::saturating_add).min(90)
            }
            _ => 3,
        }
    }

    /// Whether the test holds for a field's value. Most are texts.
    #[inline]
    pub(crate) fn holds(&self, value: &Value<'_>, combine: Combine) -> bool {
        match (value, self) {
            (Value::Text(text) | Value::Bytes(text), _) => self.holds_for_text(text, value),
            (_, Self::Modified(modifier, tests)) => {
                modified(*modifier, tests.iter().map(|t| t.holds(value, combine)))
            }
            (Value::List(values), _) => self.holds_for_list(values, combine),
            _ => self.holds_for_one(value),
        }
    }

    fn holds_for_list(&self, values: &[Value<'_>], combine: Combine) -> bool {
        let every = match combine {
            Combine::List => matches!(self, Self::In(_)),
            Combine::Endpoints => matches!(self, Self::Differ(_)),
            Combine::Any => false,
        };
        match self {
            Self::Exists => !values.is_empty(),
            _ if every => {
                let some = combine == Combine::Endpoints || !values.is_empty();
                some && values.iter().all(|v| self.holds_for_one(v))
            }
            _ => values.iter().any(|v| self.holds_for_one(v)),
        }
    }

    fn holds_for_one(&self, value: &Value<'_>) -> bool {
        if let Some(text) = bytes(value) {
            return self.holds_for_text(text, value);
        }
        match self {
            Self::Exists => true,
            Self::Equal(literal) => equal(value, literal),
            Self::Differ(literal) => !equal(value, literal),
            Self::Order(op, literal) => order(value, literal).is_some_and(|o| ordered(*op, o)),
            Self::In(set) | Self::Intersects(set) => set.contains(value),
            _ => false,
        }
    }

    /// `text` is that of the value.
    fn holds_for_text(&self, text: &[u8], value: &Value<'_>) -> bool {
        match self {
            Self::Exists => true,
            Self::Equal(Literal::Text(literal)) => literal == text,
            Self::Equal(literal) => equal(value, literal),
            Self::Differ(Literal::Text(literal)) => literal != text,
            Self::Differ(literal) => !equal(value, literal),
            Self::Order(op, literal) => order(value, literal).is_some_and(|o| ordered(*op, o)),
            Self::In(set) | Self::Intersects(set) => set.contains(value),
            Self::Contains(finder) => finder.find(text).is_some(),
            Self::IContains(finder) => finder.is_match(text),
            Self::StartsWith(prefix) => text.starts_with(prefix),
            Self::EndsWith(suffix) => text.ends_with(suffix),
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(pattern) => pattern.matches(text),
            Self::PMatch(paths) => paths.matches(text),
            Self::Modified(modifier, tests) => {
                modified(*modifier, tests.iter().map(|t| t.holds_for_text(text, value)))
            }
        }
    }
}

fn hexadecimal(text: &[u8]) -> Result<Vec<u8>, String> {
    literal::hex_bytes(text).ok_or_else(|| {
        let shown = String::from_utf8_lossy(text);
        format!("'{shown}' is no hexadecimal string: it needs an even number of digits")
    })
}

/// `oneof` counts duplicates; an empty list never holds.
fn modified(modifier: Modifier, mut results: impl ExactSizeIterator<Item = bool>) -> bool {
    match modifier {
        Modifier::OneOf => results.filter(|r| *r).count() == 1,
        Modifier::AnyOf => results.any(|r| r),
        Modifier::AllOf => results.len() > 0 && results.all(|r| r),
    }
}

/// The text of a value.
pub(crate) fn bytes<'v>(value: &'v Value<'_>) -> Option<&'v [u8]> {
    match value {
        Value::Text(text) | Value::Bytes(text) => Some(text),
        _ => None,
    }
}

/// The number of a value.
pub(crate) fn number(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(n) => Some((*n).into()),
        Value::Uint(n) => Some((*n).into()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a comparison of a fraction with a large integer")]
fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(d) => Some(*d),
        other => number(other).map(|n| n as f64),
    }
}

/// Compares a value with a literal where order has a meaning.
fn order(value: &Value<'_>, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Number(n) => Some(number(value)?.cmp(n)),
        Literal::Double(d) => double(value)?.partial_cmp(d),
        Literal::Text(text) => Some(bytes(value)?.cmp(text)),
        Literal::Dynamic(text) => order(value, &dynamic(value, text)?),
        Literal::Bool(_) | Literal::Ip(_) | Literal::Net(..) => None,
    }
}

fn ordered(op: Op, order: Ordering) -> bool {
    match op {
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        _ => order.is_ge(),
    }
}

#[inline]
fn equal(value: &Value<'_>, literal: &Literal) -> bool {
    match (literal, value) {
        (Literal::Text(literal), Value::Text(value) | Value::Bytes(value)) => {
            literal.as_slice() == value.as_ref()
        }
        (Literal::Bool(literal), Value::Bool(value)) => literal == value,
        (Literal::Ip(literal), Value::Ip(value)) => literal == value,
        (Literal::Net(net, bits), Value::Ip(address) | Value::Net(address, _)) => {
            within(*address, *net, *bits)
        }
        (Literal::Dynamic(text), value) => dynamic(value, text).is_some_and(|l| equal(value, &l)),
        (literal, value) => order(value, literal).is_some_and(Ordering::is_eq),
    }
}

/// The literal of a field without a type of its own, read as the value's type.
fn dynamic(value: &Value<'_>, text: &[u8]) -> Option<Literal> {
    let ty = match value {
        Value::Bool(_) => FieldType::Bool,
        Value::Int(_) => FieldType::Int64,
        Value::Uint(_) => FieldType::Uint64,
        Value::Double(_) => FieldType::Double,
        Value::Text(_) => FieldType::CharBuf,
        Value::Bytes(_) => FieldType::ByteBuf,
        Value::Ip(_) => FieldType::IpAddr,
        Value::Net(..) => FieldType::IpNet,
        Value::List(_) => return None,
    };
    literal::parse(text, ty).ok()
}

/// Whether the address lies in the network; families never mix.
fn within(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let differing = u32::from(a) ^ u32::from(n);
            differing.leading_zeros() >= bits.into()
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let differing = u128::from(a) ^ u128::from(n);
            differing.leading_zeros() >= bits.into()
        }
        _ => false,
    }
}

/// Compares the values of two fields: both single, or both lists for `in` and `intersects`.
pub(crate) fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::List(left), right) if op == Op::In => {
            !left.is_empty() && left.iter().all(|l| compare(Op::Intersects, l, right))
        }
        (Value::List(left), right) => left.iter().any(|l| compare(op, l, right)),
        (left, Value::List(right)) => right.iter().any(|r| compare(op, left, r)),
        (left, right) => compare_single(op, left, right),
    }
}

fn compare_single(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    match op {
        Op::Eq | Op::EqEq | Op::In | Op::Intersects => same(left, right),
        Op::Ne => !same(left, right),
        Op::Lt | Op::Le | Op::Gt | Op::Ge => order_of(left, right).is_some_and(|o| ordered(op, o)),
        _ => match (bytes(left), bytes(right)) {
            (Some(left), Some(right)) => compare_text(op, left, right),
            _ => false,
        },
    }
}

fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    order_of(left, right).map_or_else(|| left == right, Ordering::is_eq)
}

fn order_of(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (bytes(left), bytes(right)) {
        return Some(left.cmp(right));
    }
    match (number(left), number(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => double(left)?.partial_cmp(&double(right)?),
    }
}

fn compare_text(op: Op, left: &[u8], right: &[u8]) -> bool {
    match op {
        Op::Contains | Op::BContains => memmem::find(left, right).is_some(),
        Op::IContains => memmem::find(&left.to_ascii_lowercase(), &right.to_ascii_lowercase()).is_some(),
        Op::StartsWith | Op::BStartsWith => left.starts_with(right),
        Op::EndsWith => left.ends_with(right),
        Op::Glob => Glob::new(right, false).matches(left),
        Op::IGlob => Glob::new(right, true).matches(left),
        _ => false,
    }
}
