//! A formula as a choice of terms, each with a part that the first automaton decides and one for the second.

use super::{pattern::Patterns, weaken::Formula};

/// More terms than this of one formula are not worth their work: then the formula counts as true.
const MAX_TERMS: usize = 64;

/// Holds where both parts do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Term {
    /// Over patterns of what a path is or begins with.
    pub(super) anchored: Formula,
    /// Over all other patterns.
    pub(super) floating: Formula,
}

impl Term {
    const TRUE: Self = Self { anchored: Formula::True, floating: Formula::True };

    pub(super) fn is_true(&self) -> bool {
        *self == Self::TRUE
    }

    fn and(&self, other: &Self) -> Self {
        let both = |a: &Formula, b: &Formula| Formula::join(true, [a.clone(), b.clone()].into_iter());
        Self {
            anchored: both(&self.anchored, &other.anchored),
            floating: both(&self.floating, &other.floating),
        }
    }
}

/// The formula holds where one of the terms does.
pub(super) fn terms(formula: &Formula, patterns: &Patterns) -> Vec<Term> {
    let terms = match formula {
        Formula::False => return Vec::new(),
        _ if formula.all(&|number| patterns.is_anchored(number)) => {
            return vec![Term { anchored: formula.clone(), ..Term::TRUE }];
        }
        _ if formula.all(&|number| !patterns.is_anchored(number)) => {
            return vec![Term { floating: formula.clone(), ..Term::TRUE }];
        }
        Formula::Or(members) => members.iter().flat_map(|member| terms(member, patterns)).collect(),
        Formula::And(members) => members.iter().fold(vec![Term::TRUE], |before, member| {
            let member = terms(member, patterns);
            let pairs = before.iter().flat_map(|term| member.iter().map(|other| term.and(other)));
            pairs.take(MAX_TERMS.saturating_add(1)).collect()
        }),
        Formula::True | Formula::Matches(..) => vec![Term::TRUE],
    };
    let terms = merged(terms);
    if terms.len() > MAX_TERMS { vec![Term::TRUE] } else { terms }
}

/// Terms with the same second part as one.
fn merged(terms: Vec<Term>) -> Vec<Term> {
    let mut merged: Vec<Term> = Vec::new();
    for term in terms {
        match merged.iter_mut().find(|known| known.floating == term.floating) {
            Some(known) => {
                let choice = [known.anchored.clone(), term.anchored];
                known.anchored = Formula::join(false, choice.into_iter());
            }
            None => merged.push(term),
        }
    }
    merged
}
