//! Which opens can make a rule alert, decided from what the kernel knows of them: the result, some flags, and
//! the path. Sound by construction: whatever else a condition reads counts as true, under `not` too, so an
//! open that the table rejects matches no rule, whatever process and container it comes from.
//!
//! ```text
//! conditions ─ weaken ─▶ formulas over patterns, for each kind of open ─ split ─▶ terms ─ automaton ─▶ PathTable
//! ```
//!
//! The probe runs the table over the path as the caller gave it and over the path of what the kernel really
//! opened; an open is dropped only if both are rejected, just as the rules are evaluated on both.

mod automaton;
mod families;
mod known;
mod pattern;
mod split;
mod weaken;

use std::collections::HashMap;

use saker_rules::ast::Expr;

use automaton::{Automaton, Classes};
use pattern::Patterns;
use split::Term;

pub use families::families;
pub use known::Open;

/// States that a table may have; the probe has room for as many.
pub const MAX_STATES: usize = 1 << 13;
/// Next states that a table may have, those of all states together; the probe has room for as many.
pub const MAX_CELLS: usize = 1 << 18;

/// Bounds of the work that a table may take.
const MAX_TERMS: usize = 1000;
const MAX_PATTERNS: usize = 4000;

/// The bit of paths that the table does not decide on.
const UNDECIDED: u64 = 1 << 63;
/// Bits for terms; where there are more, some share one.
const TERM_BITS: usize = 63;

/// Two finite automata that read a path together, byte by byte: one for what a path begins with and is, the
/// other for what it ends with and contains. A kind of open ([`Open::index`]) may match a rule if its bits and
/// the bits of both last states have one in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTable {
    /// The class of each byte.
    pub classes: [u8; 256],
    /// How many classes there are.
    pub stride: usize,
    /// For each state the next one by class. The first automaton starts in state 0.
    pub next: Vec<u16>,
    /// The bits of each state.
    pub bits: Vec<u64>,
    /// Where the second automaton starts.
    pub second: u16,
    /// The bits of each kind of open: 0 if none can match, all if every path may.
    pub kinds: [u64; Open::KINDS],
}

impl PathTable {
    /// The table for conditions without macros; `None` if it would be too large.
    pub fn new<'e>(conditions: impl Iterator<Item = &'e Expr>) -> Option<Self> {
        let (mut patterns, mut numbers) = (Patterns::default(), HashMap::new());
        let mut kinds = [0; Open::KINDS];
        for condition in conditions {
            for (open, kind) in Open::all().zip(&mut kinds) {
                let formula = weaken::condition(condition, open, &mut patterns);
                for term in split::terms(&formula, &patterns) {
                    *kind |=
                        if term.is_true() { u64::MAX } else { UNDECIDED | bit(number(&mut numbers, term)) };
                }
                if numbers.len() > MAX_TERMS || patterns.len() > MAX_PATTERNS {
                    return None;
                }
            }
        }
        let terms: Vec<_> = numbers.into_iter().collect();
        Self::build(&patterns, &terms, kinds)
    }

    fn build(patterns: &Patterns, terms: &[(Term, usize)], kinds: [u64; Open::KINDS]) -> Option<Self> {
        let classes = Classes::new(patterns);
        let first = Automaton::new(patterns.anchored(), &classes)?;
        let second = Automaton::new(patterns.floating(), &classes)?;
        let of_first = |matched: &[bool]| UNDECIDED | term_bits(terms, |term| term.anchored.holds(matched));
        let of_second = |matched: &[bool]| {
            let terms = || term_bits(terms, |term| term.floating.holds(matched));
            if patterns.undecided(matched) { UNDECIDED } else { terms() }
        };
        let bits = [first.bits(patterns.len(), of_first), second.bits(patterns.len(), of_second)].concat();
        let next = [first.next(0)?, second.next(first.len())?].concat();
        if bits.len() > MAX_STATES || next.len() > MAX_CELLS {
            return None;
        }
        let second = u16::try_from(first.len()).ok()?;
        Some(Self { classes: classes.of, stride: classes.count, next, bits, second, kinds })
    }

    /// Whether an open of this path, which begins with a slash, may match a rule.
    pub fn passes(&self, open: Open, path: &[u8]) -> bool {
        self.may_match(open, self.terms(path))
    }

    /// Whether an open of a path with these [`Self::terms`] may match a rule.
    pub(crate) fn may_match(&self, open: Open, terms: u64) -> bool {
        match self.kinds.get(open.index()) {
            Some(&kind) if kind != u64::MAX => kind & terms != 0,
            _ => true,
        }
    }

    /// The bits of the last states of both automata that they have in common.
    pub(crate) fn terms(&self, path: &[u8]) -> u64 {
        let next = |state: u16, class: usize| {
            let at = usize::from(state).saturating_mul(self.stride).saturating_add(class);
            self.next.get(at).copied().unwrap_or(0)
        };
        let step = |(first, second), byte: &u8| {
            let class = self.classes.get(usize::from(*byte)).map_or(0, |class| usize::from(*class));
            (next(first, class), next(second, class))
        };
        let (first, second) = path.iter().fold((0, self.second), step);
        let bits = |state| self.bits.get(usize::from(state)).copied().unwrap_or(u64::MAX);
        bits(first) & bits(second)
    }
}

/// The term's number, a new one if it has none.
fn number(numbers: &mut HashMap<Term, usize>, term: Term) -> usize {
    let next = numbers.len();
    *numbers.entry(term).or_insert(next)
}

fn bit(number: usize) -> u64 {
    1 << number.checked_rem(TERM_BITS).unwrap_or(0)
}

fn term_bits(terms: &[(Term, usize)], holds: impl Fn(&Term) -> bool) -> u64 {
    terms.iter().filter(|(term, _)| holds(term)).fold(0, |bits, (_, number)| bits | bit(*number))
}
