//! Comparisons with a path, or a part of it, as patterns over the whole path, which begins with a slash.

use std::collections::HashMap;

use saker_rules::ast::Op;

use super::known::Part;

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Token {
    Byte(u8),
    /// Any one byte.
    One,
    /// Any bytes.
    Many,
    /// Any bytes but slashes.
    InName,
}

/// What a path has to look like, from its start to its end.
pub(super) type Pattern = Vec<Token>;

/// Every pattern once; first those of paths that are not plain.
#[derive(Debug)]
pub(super) struct Patterns {
    all: Vec<Pattern>,
    numbers: HashMap<Pattern, usize>,
}

impl Default for Patterns {
    fn default() -> Self {
        let mut patterns = Self { all: Vec::new(), numbers: HashMap::new() };
        for pattern in NOT_PLAIN.iter().map(infix).chain(NOT_PLAIN_END.iter().map(suffix)) {
            patterns.number(pattern);
        }
        patterns
    }
}

impl Patterns {
    /// The pattern's number.
    pub(super) fn number(&mut self, pattern: Pattern) -> usize {
        let next = self.all.len();
        let number = *self.numbers.entry(pattern.clone()).or_insert(next);
        if number == next {
            self.all.push(pattern);
        }
        number
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether the pattern is a text from the start, or such a text and anything behind it.
    pub(super) fn is_anchored(&self, number: usize) -> bool {
        let pattern = self.all.get(number).map_or(&[][..], Vec::as_slice);
        !pattern.iter().rev().skip(1).copied().any(is_open)
    }

    /// The patterns that are anchored, with their numbers.
    pub(super) fn anchored(&self) -> Vec<(usize, &Pattern)> {
        self.all.iter().enumerate().filter(|(number, _)| self.is_anchored(*number)).collect()
    }

    /// The patterns that are not anchored, with their numbers.
    pub(super) fn floating(&self) -> Vec<(usize, &Pattern)> {
        self.all.iter().enumerate().filter(|(number, _)| !self.is_anchored(*number)).collect()
    }

    /// Whether the table does not decide on a path that these patterns match: on one that is not plain, and on
    /// one with an infix, because telling each infix from the others could double the states.
    pub(super) fn undecided(&self, matched: &[bool]) -> bool {
        let not_plain = NOT_PLAIN.len().saturating_add(NOT_PLAIN_END.len());
        let undecided = |(number, pattern)| number < not_plain || is_infix(pattern);
        let matching = self.all.iter().enumerate().zip(matched).filter(|(_, matched)| **matched);
        matching.map(|(pattern, _)| pattern).any(undecided)
    }

    /// Every byte that a pattern names.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        self.all.iter().flatten().filter_map(byte)
    }
}

fn is_open(token: Token) -> bool {
    matches!(token, Token::Many | Token::InName)
}

/// It may begin to match anywhere, and once it matches it goes on to.
pub(super) fn is_infix(pattern: &Pattern) -> bool {
    pattern.last() == Some(&Token::Many) && pattern.iter().rev().skip(1).copied().any(is_open)
}

/// The pattern that holds exactly where `part op value` does; `None` if there is none.
pub(super) fn of(part: Part, op: Op, value: &[u8]) -> Option<Pattern> {
    match part {
        Part::Whole => text(op, value, Token::Many),
        Part::Filename => {
            let name = text(op, value, Token::InName)?;
            Some([vec![Token::Many, Token::Byte(b'/')], name].concat())
        }
        Part::Directory => directory(op, value),
    }
}

/// A file directly below / has the directory "/"; others have it without a slash at the end.
fn directory(op: Op, value: &[u8]) -> Option<Pattern> {
    let rest = [Token::Byte(b'/'), Token::InName];
    match (op, value) {
        (Op::Eq | Op::EqEq, b"/") => Some(rest.to_vec()),
        (Op::StartsWith, b"/") => Some(vec![Token::Byte(b'/'), Token::Many]),
        (_, b"/" | b"") => None,
        (Op::Eq | Op::EqEq | Op::StartsWith | Op::EndsWith | Op::Contains, _) => {
            Some([text(op, value, Token::Many)?, rest.to_vec()].concat())
        }
        _ => None,
    }
}

/// `filler` stands for any text: names have no slashes.
fn text(op: Op, value: &[u8], filler: Token) -> Option<Pattern> {
    let bytes = value.iter().map(|byte| Token::Byte(*byte));
    let (before, after) = match op {
        Op::Eq | Op::EqEq => (None, None),
        Op::StartsWith => (None, Some(filler)),
        Op::EndsWith => (Some(filler), None),
        Op::Contains => (Some(filler), Some(filler)),
        Op::Glob if filler == Token::Many => return glob(value),
        _ => return None,
    };
    // Text with a slash is in no name: it would match across directories.
    if filler == Token::InName && value.contains(&b'/') {
        return None;
    }
    Some(before.into_iter().chain(bytes).chain(after).collect())
}

/// Sets and escapes are left to the rules.
fn glob(value: &[u8]) -> Option<Pattern> {
    let token = |byte: &u8| match byte {
        b'*' => Some(Token::Many),
        b'?' => Some(Token::One),
        b'[' | b'\\' => None,
        byte => Some(Token::Byte(*byte)),
    };
    value.iter().map(token).collect()
}

/// Paths with these texts are seen otherwise by the rules than they are written: normalising changes them.
const NOT_PLAIN: [&[u8]; 3] = [b"//", b"./", b".."];
const NOT_PLAIN_END: [&[u8]; 2] = [b"/", b"."];

fn suffix(text: &&[u8]) -> Pattern {
    [Token::Many].into_iter().chain(text.iter().map(|byte| Token::Byte(*byte))).collect()
}

fn infix(text: &&[u8]) -> Pattern {
    suffix(text).into_iter().chain([Token::Many]).collect()
}

/// Paths as given that have two dots somewhere.
pub(super) fn dotted() -> Pattern {
    infix(&&b".."[..])
}
