//! What a rule's author wants to know of a loaded rule: what it is after expansion, on what it runs, what it
//! reads and costs, and which other rules take its events under `rule_matching: first`.

pub mod cost;
mod overlap;
mod pretty;

use serde::Serialize;

use crate::{
    check,
    load::{CompiledRule, Loaded},
    schema::{FieldRef, FieldSpec, Schema, field_flags},
};
use cost::Cost;
pub use overlap::{Overlap, Relation};

/// One rule, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rule's name.
    pub rule: String,
    /// Its file.
    pub file: String,
    /// Where in the file, from 1.
    pub line: usize,
    /// Where its events come from.
    pub source: String,
    /// Its priority, as Falco writes it.
    pub priority: &'static str,
    /// Rules that are not enabled never run.
    pub enabled: bool,
    /// The condition with exceptions, lists and macros written out, broken into lines.
    pub condition: String,
    /// The event types on which the rule runs, sorted as in the schema.
    pub events: Events,
    /// What the condition reads.
    pub fields: Vec<FieldUse>,
    /// What it costs.
    pub costs: Vec<Cost>,
    /// Rules that match some of the same events, the certain ones first.
    pub overlaps: Vec<Overlap>,
    /// How many overlaps are left out above.
    pub more_overlaps: usize,
}

/// On which event types a rule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Events {
    /// Every event of its source.
    All,
    /// These types.
    Only(Vec<&'static str>),
}

/// A field that a condition reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldUse {
    /// As conditions write it, argument included.
    pub name: String,
    /// Its type, as `saker fields` writes it.
    #[serde(rename = "type")]
    pub ty: String,
    /// Why the rule is blind to it, if it is.
    pub blind: Option<&'static str>,
    /// Whether its value takes work or waiting for each event.
    pub costly: bool,
}

impl Explanation {
    /// Whether the condition is blind to a field.
    pub fn is_blind(&self) -> bool {
        self.fields.iter().any(|field| field.blind.is_some())
    }
}

/// Every loaded rule in the order of definition, or the one of this name.
pub fn explain(loaded: &Loaded, name: Option<&str>) -> Vec<Explanation> {
    chosen(loaded, |rule| name.is_none_or(|name| name == rule.rule.name))
}

/// The loaded rules that a file defines, in their order.
pub fn explain_file(loaded: &Loaded, file: &str) -> Vec<Explanation> {
    chosen(loaded, |rule| rule.rule.place.source().name == file)
}

fn chosen(loaded: &Loaded, wanted: impl Fn(&CompiledRule) -> bool) -> Vec<Explanation> {
    let rules = &loaded.catalog.rules;
    let sketches: Vec<_> = rules.iter().map(|rule| overlap::Sketch::of(rule, &loaded.schema)).collect();
    let wanted = rules.iter().enumerate().filter(|(_, rule)| wanted(rule));
    wanted.map(|(at, rule)| one(at, rule, &sketches, &loaded.schema)).collect()
}

fn one(at: usize, compiled: &CompiledRule, sketches: &[overlap::Sketch<'_>], schema: &Schema) -> Explanation {
    let CompiledRule { rule, tree, .. } = compiled;
    let mut overlaps = overlap::overlaps(at, sketches);
    let more_overlaps = overlaps.len().saturating_sub(overlap::MAX_SHOWN);
    overlaps.truncate(overlap::MAX_SHOWN);
    Explanation {
        rule: rule.name.clone(),
        file: rule.place.source().name.clone(),
        line: rule.place.mark().line.saturating_add(1),
        source: rule.source.clone(),
        priority: rule.priority.name(),
        enabled: rule.enabled,
        condition: pretty::print(tree),
        events: events(compiled, schema),
        fields: field_uses(compiled, schema),
        costs: cost::costs(compiled, schema),
        overlaps,
        more_overlaps,
    }
}

fn events(compiled: &CompiledRule, schema: &Schema) -> Events {
    let types = compiled.condition.event_types();
    if types.is_all() {
        return Events::All;
    }
    let names = types.iter().filter_map(|id| schema.event_types().get(usize::from(id.0)));
    Events::Only(names.map(|event| event.name).collect())
}

fn field_uses(rule: &CompiledRule, schema: &Schema) -> Vec<FieldUse> {
    let fields = check::fields_of(&rule.tree, schema, rule.source);
    let blind = rule.condition.blind();
    fields.iter().filter_map(|field| field_use(field, blind.contains(&field.0), schema)).collect()
}

fn field_use((id, arg): &FieldRef, blind: bool, schema: &Schema) -> Option<FieldUse> {
    let spec = schema.field(*id)?;
    let arg = arg.as_ref().map(|arg| format!("[{}]", arg.text)).unwrap_or_default();
    Some(FieldUse {
        name: format!("{}{arg}", spec.name),
        ty: type_name(spec),
        blind: blind.then(|| spec.why_blind()),
        costly: spec.has(field_flags::COSTLY),
    })
}

/// `CHARBUF`, `LIST(CHARBUF)`.
fn type_name(field: &FieldSpec) -> String {
    let name = format!("{:?}", field.ty).to_uppercase();
    if field.list { format!("LIST({name})") } else { name }
}
