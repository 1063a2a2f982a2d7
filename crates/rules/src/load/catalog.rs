//! What compiled, for the rule set and for `describe`.

use std::sync::Arc;

use crate::{
    ast::{Body, Expr},
    collect::{Collection, Rule},
    compile::Condition,
    load::Blind,
    requirements::{PluginRequirement, Version},
    ruleset::{ExtraField, RuleInfo, RuleSet, RuleSetBuilder},
    schema::{FieldId, Schema, SourceId},
    select::Candidate,
    template::Template,
};

/// Everything that compiled, in the order of definition.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) required_engine: Version,
    pub(crate) required_plugins: Vec<PluginRequirement>,
    pub(crate) lists: Vec<CompiledList>,
    pub(crate) macros: Vec<CompiledMacro>,
    pub(crate) rules: Vec<CompiledRule>,
    /// Which of the rules run.
    pub(crate) running: Vec<usize>,
}

/// A list.
#[derive(Debug)]
pub(crate) struct CompiledList {
    pub(crate) name: String,
    pub(crate) owner: Option<String>,
    /// As written.
    pub(crate) raw: Vec<String>,
    /// With the items of other lists.
    pub(crate) items: Vec<String>,
    /// Whether there was room for all items.
    pub(crate) complete: bool,
    pub(crate) used: bool,
}

/// A macro.
#[derive(Debug)]
pub(crate) struct CompiledMacro {
    pub(crate) name: String,
    /// As written.
    pub(crate) condition: String,
    /// Without lists and macros.
    pub(crate) body: Arc<Body>,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) rule: Rule,
    pub(crate) source: SourceId,
    /// With what is appended to it.
    pub(crate) output: String,
    pub(crate) template: Template,
    pub(crate) extra: Vec<(String, ExtraField)>,
    /// Without exceptions, lists and macros.
    pub(crate) tree: Expr,
    pub(crate) condition: Condition,
}

impl CompiledRule {
    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate { name: &self.rule.name, tags: &self.rule.tags, enabled: self.rule.enabled }
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.rule.place.binding().is_some_and(|binding| binding.shadow)
    }

    /// For the rule set: only rules that run get into it.
    fn info(&self) -> RuleInfo {
        RuleInfo {
            name: self.rule.name.clone(),
            desc: self.rule.desc.clone(),
            priority: self.rule.priority as u8,
            source: self.source,
            tags: self.rule.tags.iter().cloned().collect(),
            enabled: true,
            file: Arc::from(self.rule.place.source().name.as_str()),
            shadow: self.is_shadow(),
        }
    }
}

impl Catalog {
    pub(super) fn new(
        collection: &Collection,
        lists: Vec<CompiledList>,
        macros: Vec<CompiledMacro>,
        rules: Vec<CompiledRule>,
    ) -> Self {
        let required_plugins = collection.required_plugins.clone();
        let required_engine = collection.required_engine;
        Self { required_engine, required_plugins, lists, macros, rules, running: Vec::new() }
    }

    /// Rules whose condition is blind to a field, with the field.
    pub(super) fn blind(&self, schema: &Schema) -> Vec<Blind> {
        let mut blind = Vec::new();
        for rule in &self.rules {
            let fields = rule.condition.blind().iter().filter_map(|id| schema.field(*id));
            blind.extend(fields.map(|field| Blind {
                rule: rule.rule.name.clone(),
                field: field.name,
                reason: field.why_blind(),
            }));
        }
        blind
    }

    /// Rules whose condition needs a field of this kind, with the field.
    pub(super) fn readers(&self, schema: &Schema, kind: impl Fn(FieldId) -> bool) -> Vec<(String, String)> {
        let mut readers = Vec::new();
        for rule in &self.rules {
            let fields = rule.condition.fields().iter().filter(|id| kind(**id));
            let names = fields.filter_map(|id| schema.field(*id)).map(|field| field.name.to_owned());
            readers.extend(names.map(|name| (rule.rule.name.clone(), name)));
        }
        readers
    }

    /// The rules at these positions, in this order; those in shadow behind the others.
    pub(super) fn rule_set(&self, order: &[usize], schema: &Arc<Schema>) -> Arc<RuleSet> {
        let mut builder = RuleSetBuilder::new(Arc::clone(schema));
        let rules = || order.iter().filter_map(|i| self.rules.get(*i));
        let (spoken, shadow) = (rules().filter(|r| !r.is_shadow()), rules().filter(|r| r.is_shadow()));
        for rule in spoken.chain(shadow) {
            builder.add(rule.info(), &rule.condition, rule.template.clone(), rule.extra.clone());
        }
        Arc::new(builder.build())
    }
}
