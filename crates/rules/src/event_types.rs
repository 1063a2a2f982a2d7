//! On which event types a condition can hold (specification §4).

use std::sync::Arc;

use crate::{
    ast::{Body, Check, Expr, Modifier, Op, Operand, Right, TransformArg},
    literal,
    schema::{EventTypeId, Schema},
    value::FieldType,
};

/// More event codes than this in one rule are worth a warning.
pub const MAX_EVENT_CODES: usize = 100;

/// The field that tells the event type; its values are checked.
pub(crate) const TYPE_FIELD: &str = "evt.type";

const SYSCALL_FIELD: &str = "syscall.type";
const NUMBER_FIELD: &str = "evt.num";

/// Whether comparisons of this field tell on which events a condition can hold.
pub(crate) fn is_told_by(operand: &Operand) -> bool {
    matches!(operand, Operand::Field { name, arg: None, .. } if name == TYPE_FIELD || name == SYSCALL_FIELD)
}

/// Whether an operator tells it of such a field.
pub(crate) const fn is_told_with(op: Op) -> bool {
    matches!(op, Op::Exists | Op::Eq | Op::EqEq | Op::Ne | Op::In)
}

/// Whether a transformer hides such a field. Of a list the last member counts, as upstream has it.
pub(crate) fn is_hidden_in(arg: &TransformArg) -> bool {
    match arg {
        TransformArg::Operand(Operand::Transform { args, .. }) => args.iter().any(is_hidden_in),
        TransformArg::Operand(field) => is_told_by(field),
        TransformArg::List(items) => {
            let inner = |arg: &TransformArg| matches!(arg, TransformArg::Operand(Operand::Transform { .. }));
            items.last().is_some_and(is_hidden_in) || items.iter().any(|i| inner(i) && is_hidden_in(i))
        }
        TransformArg::Text(_) | TransformArg::Number(_) => false,
    }
}

/// A set of event types of one schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EventTypeSet {
    words: Vec<u64>,
    /// How many event types there are.
    universe: usize,
}

impl EventTypeSet {
    /// No event type.
    pub fn none(schema: &Schema) -> Self {
        let universe = schema.event_types().len();
        Self { words: vec![0; universe.div_ceil(64)], universe }
    }

    /// Every event type.
    pub fn all(schema: &Schema) -> Self {
        Self::none(schema).complement()
    }

    /// Adds a type.
    pub fn insert(&mut self, id: EventTypeId) {
        let (word, bit) = place(id);
        if usize::from(id.0) < self.universe
            && let Some(word) = self.words.get_mut(word)
        {
            *word |= bit;
        }
    }

    /// Whether a type is in the set.
    pub fn contains(&self, id: EventTypeId) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// The types of either set.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
        self
    }

    /// The types of both sets.
    #[must_use]
    pub fn intersection(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
        self
    }

    /// The types not in the set.
    #[must_use]
    pub fn complement(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        let used = self.universe % 64;
        if used > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= u64::MAX >> (64_usize.saturating_sub(used));
        }
        self
    }

    /// The types, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = EventTypeId> + '_ {
        let universe = u16::try_from(self.universe).unwrap_or(u16::MAX);
        (0..universe).map(EventTypeId).filter(|id| self.contains(*id))
    }

    /// How many types.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| usize::try_from(w.count_ones()).unwrap_or(0)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// Whether every type is in the set.
    pub fn is_all(&self) -> bool {
        self.len() == self.universe
    }

    /// How many event codes the types stand for.
    pub fn codes(&self, schema: &Schema) -> usize {
        let types = schema.event_types();
        self.iter().filter_map(|id| types.get(usize::from(id.0))).map(|t| usize::from(t.codes)).sum()
    }
}

fn place(id: EventTypeId) -> (usize, u64) {
    (usize::from(id.0 / 64), 1 << (id.0 % 64))
}

/// The event types on which the condition can be true.
pub(crate) fn of(expr: &Expr, schema: &Schema) -> EventTypeSet {
    fn outcomes(expr: &Expr, schema: &Schema) -> Outcomes {
        Outcomes::of(expr, schema, &|body| outcomes(&body.tree, schema))
    }
    outcomes(expr, schema).holds
}

/// The event types on which a condition can hold, and those on which it can fail.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    pub(crate) holds: EventTypeSet,
    pub(crate) fails: EventTypeSet,
}

impl Outcomes {
    /// Of a condition that says nothing about the event type.
    pub(crate) fn unknown(schema: &Schema) -> Self {
        Self { holds: EventTypeSet::all(schema), fails: EventTypeSet::all(schema) }
    }

    /// Of a condition; `of_body` knows those of macros.
    pub(crate) fn of(expr: &Expr, schema: &Schema, of_body: &impl Fn(&Arc<Body>) -> Self) -> Self {
        let of = |expr: &Expr| Self::of(expr, schema, of_body);
        match expr {
            Expr::And(members) => {
                members.iter().fold(Self::always(schema), |all, member| all.and(&of(member)))
            }
            Expr::Or(members) => {
                members.iter().fold(Self::always(schema).not(), |any, member| any.or(&of(member)))
            }
            Expr::Not(inner) => of(inner).not(),
            Expr::Macro(_) => Self::unknown(schema),
            Expr::Body(body, _) => of_body(body),
            Expr::Check(check) => Self::of_check(check, schema),
        }
    }

    fn of_check(check: &Check, schema: &Schema) -> Self {
        let holds = leaf(check, schema);
        holds.map_or_else(|| Self::unknown(schema), |holds| Self { fails: holds.clone().complement(), holds })
    }

    fn and(self, other: &Self) -> Self {
        Self { holds: self.holds.intersection(&other.holds), fails: self.fails.union(&other.fails) }
    }

    fn not(self) -> Self {
        Self { holds: self.fails, fails: self.holds }
    }

    fn or(self, other: &Self) -> Self {
        Self { holds: self.holds.union(&other.holds), fails: self.fails.intersection(&other.fails) }
    }

    fn always(schema: &Schema) -> Self {
        Self { holds: EventTypeSet::all(schema), fails: EventTypeSet::none(schema) }
    }
}

/// The event types on which a comparison of `evt.type` holds, or of `evt.num` that is the same for every event; `None`
/// for any other.
pub(crate) fn decided(check: &Check, schema: &Schema) -> Option<EventTypeSet> {
    match &check.left {
        Operand::Field { name, arg: None, .. } if name == TYPE_FIELD || name == NUMBER_FIELD => {
            leaf(check, schema)
        }
        _ => None,
    }
}

/// The set of a leaf that restricts event types; `None` for a neutral one.
fn leaf(check: &Check, schema: &Schema) -> Option<EventTypeSet> {
    let Operand::Field { name, arg: None, .. } = &check.left else { return None };
    match name.as_str() {
        TYPE_FIELD | SYSCALL_FIELD => types(check, schema),
        NUMBER_FIELD => number(check).map(|always| {
            let none = EventTypeSet::none(schema);
            if always { none.complement() } else { none }
        }),
        _ => None,
    }
}

fn types(check: &Check, schema: &Schema) -> Option<EventTypeSet> {
    if check.op == Op::Exists {
        return Some(EventTypeSet::all(schema));
    }
    let equal = match check.op {
        Op::Eq | Op::EqEq | Op::In => true,
        Op::Ne => false,
        _ => return None,
    };
    match &check.right {
        Right::Literal(name) => {
            let named = named(std::slice::from_ref(name), schema);
            return Some(if equal { named } else { named.complement() });
        }
        Right::List(names) if equal => return Some(named(names, schema)),
        _ => {}
    }
    let holds = |name: &str| {
        let one = |value: &[u8]| (name.as_bytes() == value) == equal;
        match &check.right {
            Right::Literal(value) => Some(one(value)),
            Right::List(values) => Some(values.iter().any(|v| one(v))),
            Right::Modified(modifier, values) => Some(modified(*modifier, values, one)),
            Right::ListName(name) | Right::ModifiedName(_, name) => Some(one(name.text.as_bytes())),
            Right::None | Right::Operand(_) => None,
        }
    };
    let mut set = EventTypeSet::none(schema);
    for (id, event) in (0..=u16::MAX).zip(schema.event_types()) {
        if holds(event.name)? {
            set.insert(EventTypeId(id));
        }
    }
    Some(set)
}

/// The types of these names.
fn named(names: &[Vec<u8>], schema: &Schema) -> EventTypeSet {
    let mut set = EventTypeSet::none(schema);
    let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
    names.filter_map(|name| schema.find_event_type(name)).for_each(|id| set.insert(id));
    set
}

fn modified(modifier: Modifier, values: &[Vec<u8>], holds: impl Fn(&[u8]) -> bool) -> bool {
    let count = values.iter().filter(|v| holds(v)).count();
    match modifier {
        Modifier::OneOf => count == 1,
        Modifier::AnyOf => count > 0,
        Modifier::AllOf => count > 0 && count == values.len(),
    }
}

/// Events are numbered from 1, so some comparisons are always or never true.
fn number(check: &Check) -> Option<bool> {
    let value = match &check.right {
        Right::Literal(value) => unsigned(value)?,
        Right::List(values) if check.op == Op::In => {
            return values.iter().all(|v| unsigned(v) == Some(0)).then_some(false);
        }
        _ => return None,
    };
    match (check.op, value) {
        (Op::Eq | Op::EqEq | Op::Lt | Op::Le, 0) | (Op::Lt, 1) => Some(false),
        (Op::Ne | Op::Gt | Op::Ge, 0) | (Op::Ge, 1) => Some(true),
        _ => None,
    }
}

fn unsigned(value: &[u8]) -> Option<i128> {
    literal::integer(std::str::from_utf8(value).ok()?, FieldType::Uint64).ok()
}
