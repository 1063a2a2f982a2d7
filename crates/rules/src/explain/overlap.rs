//! Which rules match the same events. What is called certain is certain; what may be is only not excluded.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::pretty;
use crate::{
    ast::{Check, Expr, Op, Operand, Right},
    check,
    event_types::{self, EventTypeSet},
    load::CompiledRule,
    schema::{Quantifier, Schema, SourceId},
    value::FieldType,
};

/// Overlaps that are told of a rule.
pub(super) const MAX_SHOWN: usize = 10;

/// What another rule does to the explained one under `rule_matching: first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It comes first and matches whatever this one matches: this one never alerts.
    AlwaysShadowedBy,
    /// It comes later and matches nothing that this one does not: it never alerts.
    AlwaysShadows,
    /// It comes first and may match some of the same events.
    MayBeShadowedBy,
    /// It comes later and may match some of the same events.
    MayShadow,
}

/// Another rule that matches some of the same events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// What it does.
    pub relation: Relation,
    /// Its name.
    pub rule: String,
}

/// What is compared of a rule.
pub(super) struct Sketch<'a> {
    name: &'a str,
    runs: bool,
    source: SourceId,
    types: &'a EventTypeSet,
    /// What has to hold all at once, as it is printed.
    conjuncts: BTreeMap<String, Demand>,
}

/// What is known of one thing that has to hold.
enum Demand {
    /// The event is of one of these types.
    Types(EventTypeSet),
    /// A field is one of these texts.
    Values(String, BTreeSet<Vec<u8>>),
    Other,
}

impl<'a> Sketch<'a> {
    pub(super) fn of(compiled: &'a CompiledRule, schema: &Schema) -> Self {
        let mut sketch = Self {
            name: &compiled.rule.name,
            runs: compiled.rule.enabled && !compiled.is_shadow(),
            source: compiled.source,
            types: compiled.condition.event_types(),
            conjuncts: BTreeMap::new(),
        };
        match pretty::flat(&compiled.tree) {
            Expr::And(members) => members.iter().for_each(|member| sketch.add(member, schema)),
            tree => sketch.add(&tree, schema),
        }
        sketch
    }

    fn add(&mut self, member: &Expr, schema: &Schema) {
        let demand = match member {
            Expr::Check(check) => self.demand(check, schema),
            _ => Demand::Other,
        };
        self.conjuncts.insert(member.to_string(), demand);
    }

    fn demand(&self, check: &Check, schema: &Schema) -> Demand {
        let typed = schema.sources().get(usize::from(self.source.0)).is_some_and(|source| source.typed);
        if let Some(types) = event_types::decided(check, schema).filter(|_| typed) {
            return Demand::Types(types);
        }
        let values = one_of(check).filter(|_| is_single_text(check, self.source, schema));
        values.map_or(Demand::Other, |values| Demand::Values(check.left.to_string(), values))
    }

    /// Whether every event that the other matches is matched by this one, as far as can be told cheaply.
    fn is_implied_by(&self, other: &Self) -> bool {
        self.conjuncts.iter().all(|(text, demand)| {
            other.conjuncts.contains_key(text)
                || match demand {
                    Demand::Types(types) => other.types.clone().intersection(types) == *other.types,
                    Demand::Values(field, values) => {
                        other.values(field).any(|theirs| theirs.is_subset(values))
                    }
                    Demand::Other => false,
                }
        })
    }

    /// What a field has to be one of; several such demands must all hold.
    fn values<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s BTreeSet<Vec<u8>>> {
        self.conjuncts.values().filter_map(move |demand| match demand {
            Demand::Values(name, values) if name == field => Some(values),
            _ => None,
        })
    }

    /// Whether no event can match both, as far as can be told cheaply.
    fn excludes(&self, other: &Self) -> bool {
        let types = self.types.clone().intersection(other.types);
        types.is_empty() || self.negates(other) || other.negates(self) || self.differs(other)
    }

    fn negates(&self, other: &Self) -> bool {
        self.conjuncts.keys().any(|c| c.strip_prefix("not ").is_some_and(|c| other.conjuncts.contains_key(c)))
    }

    fn differs(&self, other: &Self) -> bool {
        self.conjuncts.values().any(|demand| match demand {
            Demand::Values(field, ours) => other.values(field).any(|theirs| ours.is_disjoint(theirs)),
            _ => false,
        })
    }
}

/// The texts of `field = text` and `field in (…)`.
fn one_of(check: &Check) -> Option<BTreeSet<Vec<u8>>> {
    match (&check.right, check.op) {
        (Right::Literal(value), Op::Eq | Op::EqEq) => Some([value.clone()].into()),
        (Right::List(values), Op::In) => Some(values.iter().cloned().collect()),
        _ => None,
    }
}

/// Only one text at a time can be told to differ from another: numbers are written in several ways.
fn is_single_text(check: &Check, source: SourceId, schema: &Schema) -> bool {
    let Operand::Field { name, arg, .. } = &check.left else { return false };
    let field = check::find_field(schema, source, name, arg.as_deref()).ok();
    let spec = field.and_then(|(id, _)| schema.field(id).copied());
    spec.is_some_and(|f| f.ty == FieldType::CharBuf && !f.list && f.quantifier == Quantifier::One)
}

/// The rules that share events with the one at this position; certain relations first, then in their order.
pub(super) fn overlaps(at: usize, sketches: &[Sketch<'_>]) -> Vec<Overlap> {
    let Some(this) = sketches.get(at).filter(|sketch| sketch.runs) else { return Vec::new() };
    let others = sketches
        .iter()
        .enumerate()
        .filter(|(i, other)| *i != at && other.runs && other.source == this.source && !this.excludes(other));
    let mut found: Vec<_> = others
        .map(|(i, other)| Overlap { relation: relation(this, other, i < at), rule: other.name.to_owned() })
        .collect();
    found.sort_by_key(|overlap| overlap.relation);
    found
}

fn relation(this: &Sketch<'_>, other: &Sketch<'_>, other_first: bool) -> Relation {
    match other_first {
        true if other.is_implied_by(this) => Relation::AlwaysShadowedBy,
        true => Relation::MayBeShadowedBy,
        false if this.is_implied_by(other) => Relation::AlwaysShadows,
        false => Relation::MayShadow,
    }
}
