//! The rules that run, for those who reason about conditions instead of evaluating them.

use std::collections::BTreeSet;

use super::{CompiledRule, Loaded};
use crate::{
    ast::Expr,
    check,
    ruleset::ExtraField,
    schema::{FieldRef, Schema},
    template::TemplateField,
};

/// A rule that runs.
#[derive(Debug, Clone)]
pub struct RunningRule<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its condition without exceptions, lists and macros.
    pub condition: &'a Expr,
    /// The fields that its condition reads, arguments included: `json.value[/verb]`.
    pub reads: BTreeSet<String>,
    /// The fields that its alerts show.
    pub shows: BTreeSet<String>,
}

impl Loaded {
    /// The rules of a source that run, in the order of definition.
    pub fn running(&self, source: &str) -> impl Iterator<Item = RunningRule<'_>> {
        let rules = self.rules.iter().flat_map(|set| set.rules());
        let enabled: BTreeSet<&str> = rules.map(|rule| rule.info.name.as_str()).collect();
        let of_source = self.catalog.rules.iter().filter(move |rule| rule.rule.source == source);
        let runs = move |rule: &&CompiledRule| enabled.contains(rule.rule.name.as_str());
        of_source.filter(runs).map(|rule| running(rule, &self.schema))
    }
}

fn running<'a>(compiled: &'a CompiledRule, schema: &Schema) -> RunningRule<'a> {
    let mut shown: Vec<&TemplateField> = compiled.template.fields().collect();
    for (_, extra) in &compiled.extra {
        match extra {
            ExtraField::Text(template) => shown.extend(template.fields()),
            ExtraField::Raw(field) => shown.push(field),
        }
    }
    let shows = shown.iter().filter_map(|field| written(&(field.id, field.arg.clone()), schema)).collect();
    let fields = check::fields_of(&compiled.tree, schema, compiled.source);
    let reads = fields.iter().filter_map(|field| written(field, schema)).collect();
    RunningRule { name: &compiled.rule.name, condition: &compiled.tree, reads, shows }
}

fn written((id, arg): &FieldRef, schema: &Schema) -> Option<String> {
    let name = schema.field(*id)?.name;
    Some(arg.as_ref().map_or_else(|| name.to_owned(), |arg| format!("{name}[{}]", arg.text)))
}
