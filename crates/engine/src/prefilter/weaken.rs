//! A condition, weakened to what the kernel can decide of an open: comparisons that it cannot decide hold,
//! negated or not. Negation is pushed down to the comparisons, so this only ever makes more opens pass.

use saker_rules::ast::{Check, Expr, Op, Operand, Right};

use super::{
    known::{Known, Open, Part},
    pattern::{self, Patterns},
};

/// Parts of a condition, those of its macros counted with each use; the rest counts as true.
const MAX_PARTS: usize = 10_000;

/// What remains of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Formula {
    False,
    True,
    /// Whether the pattern of this number matches the path is this.
    Matches(usize, bool),
    And(Vec<Formula>),
    Or(Vec<Formula>),
}

impl Formula {
    /// Whether it holds for a path; `matched` tells which patterns do.
    pub(super) fn holds(&self, matched: &[bool]) -> bool {
        match self {
            Self::False => false,
            Self::True => true,
            Self::Matches(number, wanted) => matched.get(*number).is_none_or(|m| m == wanted),
            Self::And(members) => members.iter().all(|member| member.holds(matched)),
            Self::Or(members) => members.iter().any(|member| member.holds(matched)),
        }
    }

    /// Whether all patterns in it are such.
    pub(super) fn all(&self, such: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::False | Self::True => true,
            Self::Matches(number, _) => such(*number),
            Self::And(members) | Self::Or(members) => members.iter().all(|member| member.all(such)),
        }
    }

    fn constant(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    /// All, or one, of the members.
    pub(super) fn join(all: bool, members: impl Iterator<Item = Self>) -> Self {
        let (neutral, decisive) = (Self::constant(all), Self::constant(!all));
        let mut rest = Vec::new();
        for member in members {
            if member == decisive {
                return decisive;
            }
            // Twins are few, and looking for them among many would take long.
            let twin = rest.len() < 64 && rest.contains(&member);
            if member != neutral && !twin {
                rest.push(member);
            }
        }
        match (rest.len(), all) {
            (0, _) => neutral,
            (1, _) => rest.pop().unwrap_or(neutral),
            (_, true) => Self::And(rest),
            (_, false) => Self::Or(rest),
        }
    }
}

/// The condition for this kind of open.
pub(super) fn condition(expr: &Expr, open: Open, patterns: &mut Patterns) -> Formula {
    let mut of_call = |call| {
        let known = |field: &Operand| open.known(call, field);
        Weakening { known: &known, patterns, left: MAX_PARTS }.visit(expr, true)
    };
    Formula::join(false, open.calls().map(&mut of_call).collect::<Vec<_>>().into_iter())
}

/// Whether the condition may hold where this is known, which is not of paths.
pub(super) fn may_hold<'t>(expr: &Expr, known: &dyn Fn(&Operand) -> Known<'t>) -> bool {
    let patterns = &mut Patterns::default();
    Weakening { known, patterns, left: MAX_PARTS }.visit(expr, true) != Formula::False
}

struct Weakening<'a, 't> {
    known: &'a dyn Fn(&Operand) -> Known<'t>,
    patterns: &'a mut Patterns,
    /// Parts that may still be looked at.
    left: usize,
}

impl Weakening<'_, '_> {
    /// The expression must hold, or must not.
    fn visit(&mut self, expr: &Expr, wanted: bool) -> Formula {
        let Some(left) = self.left.checked_sub(1) else { return Formula::True };
        self.left = left;
        match expr {
            Expr::Not(inner) => self.visit(inner, !wanted),
            Expr::Body(body, _) => self.visit(&body.tree, wanted),
            Expr::And(members) => self.join(wanted, members, wanted),
            Expr::Or(members) => self.join(!wanted, members, wanted),
            Expr::Macro(_) => Formula::True,
            Expr::Check(check) => self.check(check, wanted),
        }
    }

    fn join(&mut self, all: bool, members: &[Expr], wanted: bool) -> Formula {
        // One after the other, because each may add patterns; a decided `and` needs no more.
        let mut formulas = Vec::with_capacity(members.len());
        for member in members {
            let formula = self.visit(member, wanted);
            let decided = formula == Formula::constant(!all);
            formulas.push(formula);
            if decided {
                break;
            }
        }
        Formula::join(all, formulas.into_iter())
    }

    fn check(&mut self, check: &Check, wanted: bool) -> Formula {
        let known = (self.known)(&check.left);
        let fixed = |holds: Option<bool>| holds.map_or(Formula::True, |h| Formula::constant(h == wanted));
        match (known, values(&check.right)) {
            (Known::Nothing, _) | (_, None) => Formula::True,
            (Known::Absent, _) => Formula::constant(!wanted),
            (Known::Path(part), Some(values)) => self.path(part, check.op, &values, wanted),
            (Known::Text(text), Some(values)) => fixed(of_text(text, check.op, &values)),
            (Known::Bool(known), Some(values)) => fixed(of_bool(known, check.op, &values)),
            (Known::Range(low, high), Some(values)) => fixed(of_number(low, high, check.op, &values)),
            (Known::Raw, Some(values)) if wanted && has_dots(check.op, &values) => {
                Formula::Matches(self.patterns.number(pattern::dotted()), true)
            }
            (Known::Raw, _) => Formula::True,
        }
    }

    fn path(&mut self, part: Part, op: Op, values: &[&[u8]], wanted: bool) -> Formula {
        let (op, wanted) = match op {
            Op::In => (Op::Eq, wanted),
            Op::Ne => (Op::Eq, !wanted),
            op => (op, wanted),
        };
        let mut one = |value: &&[u8]| {
            let number = pattern::of(part, op, value).map(|pattern| self.patterns.number(pattern));
            number.map_or(Formula::True, |number| Formula::Matches(number, wanted))
        };
        let formulas: Vec<_> = values.iter().map(&mut one).collect();
        Formula::join(!wanted, formulas.into_iter())
    }
}

/// The texts on the right, one of which has to fit.
fn values(right: &Right) -> Option<Vec<&[u8]>> {
    match right {
        Right::Literal(value) => Some(vec![value]),
        Right::List(values) => Some(values.iter().map(Vec::as_slice).collect()),
        _ => None,
    }
}

fn of_text(text: &str, op: Op, values: &[&[u8]]) -> Option<bool> {
    let text = text.as_bytes();
    let any = |holds: &dyn Fn(&[u8]) -> bool| Some(values.iter().any(|value| holds(value)));
    match op {
        Op::Eq | Op::EqEq | Op::In => any(&|value| text == value),
        Op::Ne => any(&|value| text != value),
        Op::Contains => any(&|value| is_in(value, text)),
        Op::StartsWith => any(&|value| text.starts_with(value)),
        Op::EndsWith => any(&|value| text.ends_with(value)),
        _ => None,
    }
}

fn is_in(part: &[u8], text: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

fn of_bool(known: bool, op: Op, values: &[&[u8]]) -> Option<bool> {
    let value = match values {
        [b"true"] => true,
        [b"false"] => false,
        _ => return None,
    };
    match op {
        Op::Eq | Op::EqEq => Some(known == value),
        Op::Ne => Some(known != value),
        _ => None,
    }
}

fn of_number(low: i64, high: i64, op: Op, values: &[&[u8]]) -> Option<bool> {
    let [value] = values else { return None };
    let value: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // Whether it holds at one end and at the other: between them it then holds too.
    let both = |holds: bool, other: bool| (holds == other).then_some(holds);
    match op {
        Op::Lt => both(low < value, high < value),
        Op::Le => both(low <= value, high <= value),
        Op::Gt => both(low > value, high > value),
        Op::Ge => both(low >= value, high >= value),
        Op::Eq | Op::EqEq if value < low || value > high => Some(false),
        Op::Eq | Op::EqEq => (low == high).then_some(true),
        Op::Ne if value < low || value > high => Some(true),
        Op::Ne => (low == high).then_some(false),
        _ => None,
    }
}

/// Whether only a text with two dots can fit.
fn has_dots(op: Op, values: &[&[u8]]) -> bool {
    let text =
        matches!(op, Op::Eq | Op::EqEq | Op::In | Op::Contains | Op::StartsWith | Op::EndsWith | Op::Glob);
    let dotted = |value: &&[u8]| value.windows(2).any(|pair| pair == b"..") && !value.contains(&b'[');
    text && values.iter().all(dotted)
}
