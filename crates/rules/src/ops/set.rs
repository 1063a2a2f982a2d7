//! The values of `in (…)`, hashed where equality allows it.

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use crate::{
    literal::Literal,
    ops::{self, bytes, number},
    value::Value,
};

/// A set of literals of one type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    texts: FxHashSet<Vec<u8>>,
    /// A bit for each length that a text has; what has another length need not be hashed.
    lengths: u64,
    numbers: FxHashSet<i128>,
    addresses: FxHashSet<IpAddr>,
    /// Networks, booleans and the like: compared one by one.
    others: Vec<Literal>,
}

impl Set {
    pub(crate) fn new(literals: Vec<Literal>) -> Self {
        let mut set = Self::default();
        for literal in literals {
            match literal {
                Literal::Text(text) => {
                    set.lengths |= length_bit(&text);
                    set.texts.insert(text);
                }
                Literal::Number(n) => drop(set.numbers.insert(n)),
                Literal::Ip(address) => drop(set.addresses.insert(address)),
                other => set.others.push(other),
            }
        }
        set
    }

    /// Its literals, if all are texts.
    pub(crate) fn texts(&self) -> Option<Vec<&[u8]>> {
        let only = self.numbers.is_empty() && self.addresses.is_empty() && self.others.is_empty();
        only.then(|| self.texts.iter().map(Vec::as_slice).collect())
    }

    pub(crate) fn contains(&self, value: &Value<'_>) -> bool {
        let hashed = match value {
            Value::Ip(address) => self.addresses.contains(address),
            other => {
                bytes(other).is_some_and(|b| self.lengths & length_bit(b) != 0 && self.texts.contains(b))
                    || number(other).is_some_and(|n| self.numbers.contains(&n))
            }
        };
        hashed || self.others.iter().any(|l| ops::equal(value, l))
    }
}

/// Long texts share a bit.
fn length_bit(text: &[u8]) -> u64 {
    1_u64.checked_shl(u32::try_from(text.len()).unwrap_or(u32::MAX)).unwrap_or(1 << 63)
}
