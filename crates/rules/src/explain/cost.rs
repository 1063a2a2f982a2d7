//! What parts of a condition cost, by a small table: a row per reason.

use serde::Serialize;

use crate::{
    ast::{Check, FieldName, Op, Operand, Right},
    check,
    compile::too_many_event_types,
    load::CompiledRule,
    schema::{FieldSpec, Quantifier, Schema, SourceId, field_flags},
    value::FieldType,
};

/// Lists from this length on are worth saying that they are cheap.
const LONG_LIST: usize = 32;

/// Parts that are named at most for each reason.
const MAX_PARTS: usize = 8;

/// How much a part costs, per event on which it is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Hardly anything, although it may look otherwise.
    Cheap,
    /// Several times a plain comparison.
    Costly,
    /// It dominates the rule.
    High,
}

/// One reason why a rule costs what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// How much.
    pub level: Level,
    /// Why, and what is cheaper.
    pub reason: &'static str,
    /// The parts of the condition; empty if it is the whole.
    pub parts: Vec<String>,
}

/// A reason, and which comparisons it is about.
struct Row {
    level: Level,
    reason: &'static str,
    applies: fn(&Check, &[FieldSpec]) -> bool,
}

static ROWS: [Row; 10] = [
    Row {
        level: Level::High,
        reason: "a regular expression reads the whole value; startswith, endswith, contains and glob are cheaper",
        applies: |check, _| check.op == Op::Regex,
    },
    Row {
        level: Level::High,
        reason: "the field has a value for each ancestor or list entry, and all are read until one fits; \
                 put it behind the comparisons that fail most often",
        applies: |check, fields| {
            check.op != Op::Exists && fields.iter().any(|f| f.quantifier == Quantifier::Any)
        },
    },
    Row {
        level: Level::Costly,
        reason: "the value takes work or waiting for each event that gets this far; the comparisons of other fields \
                 are tried first",
        applies: |_, fields| {
            fields.iter().any(|f| f.has(field_flags::COSTLY) && f.quantifier == Quantifier::One)
        },
    },
    Row {
        level: Level::Costly,
        reason: "the agent looks up the addresses of each name; the rule is blind until they have any",
        applies: |check, fields| {
            let asked = matches!(check.op, Op::Eq | Op::EqEq | Op::Ne | Op::In | Op::Intersects);
            asked && fields.iter().any(|f| f.has(field_flags::ONLY_COMPARED))
        },
    },
    Row {
        level: Level::Costly,
        reason: "a list is built from the event for each evaluation",
        applies: |_, fields| fields.iter().any(|f| f.list),
    },
    Row {
        level: Level::Costly,
        reason: "a transformer makes a new text for each evaluation",
        applies: |check, _| is_transformed(check),
    },
    Row {
        level: Level::Costly,
        reason: "upper and lower case are folded over the whole value; prefer the operator that minds case",
        applies: |check, _| matches!(check.op, Op::IContains | Op::IGlob),
    },
    Row {
        level: Level::Costly,
        reason: "a pattern is tried at many places of the value; startswith or endswith are cheaper where they do",
        applies: |check, _| check.op == Op::Glob,
    },
    Row {
        level: Level::Costly,
        reason: "the whole buffer is searched",
        applies: |check, fields| {
            check.op == Op::Contains && fields.iter().any(|f| f.ty == FieldType::ByteBuf)
        },
    },
    Row {
        level: Level::Cheap,
        reason: "a long list is one look-up, however long it is",
        applies: |check, _| match &check.right {
            Right::List(values) => matches!(check.op, Op::In) && values.len() >= LONG_LIST,
            _ => false,
        },
    },
];

/// What a rule costs, the dearest first.
pub(super) fn costs(compiled: &CompiledRule, schema: &Schema) -> Vec<Cost> {
    let mut checks = Vec::new();
    compiled.tree.checks(&mut |check| checks.push((check, specs(check, compiled.source, schema))));
    let mut costs: Vec<_> = breadth(compiled, schema).into_iter().collect();
    costs.extend(ROWS.iter().filter_map(|row| row.cost(&checks)));
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.level));
    costs
}

impl Row {
    fn cost(&self, checks: &[(&Check, Vec<FieldSpec>)]) -> Option<Cost> {
        let mut parts: Vec<String> = Vec::new();
        for (check, _) in checks.iter().filter(|(check, fields)| (self.applies)(check, fields)) {
            let part = format!("{} {}", check.left, check.op.name());
            if parts.len() < MAX_PARTS && !parts.contains(&part) {
                parts.push(part);
            }
        }
        (!parts.is_empty()).then_some(Cost { level: self.level, reason: self.reason, parts })
    }
}

/// A rule that runs on too many event types is evaluated all the time.
fn breadth(compiled: &CompiledRule, schema: &Schema) -> Option<Cost> {
    let reason = "the rule runs on nearly every event: restrict it with evt.type";
    too_many_event_types(&compiled.condition, schema, compiled.source).then_some(Cost {
        level: Level::High,
        reason,
        parts: Vec::new(),
    })
}

fn is_transformed(check: &Check) -> bool {
    let transform = |operand: &Operand| matches!(operand, Operand::Transform { .. });
    transform(&check.left) || matches!(&check.right, Right::Operand(operand) if transform(operand))
}

/// The fields that a comparison reads. One that was written with an index has one value only.
fn specs(check: &Check, source: SourceId, schema: &Schema) -> Vec<FieldSpec> {
    let spec = |FieldName { name, arg, .. }: FieldName| {
        let (id, _) = check::find_field(schema, source, name, arg).ok()?;
        let spec = *schema.field(id)?;
        let one = arg.is_some() && !spec.has(field_flags::DOTTED_ARG);
        Some(if one { FieldSpec { quantifier: Quantifier::One, ..spec } } else { spec })
    };
    check.fields().into_iter().filter_map(spec).collect()
}
