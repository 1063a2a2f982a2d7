//! Compiled rules, indexed by source and event type: what they compare is in [`crate::program`], in which order in
//! [`crate::tree`].

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    cache::Places,
    compile::Condition,
    event_types::EventTypeSet,
    program::{Counts, Program, ProgramBuilder, Results, Run},
    schema::{EventTypeId, FieldId, Record, Schema, SourceId},
    template::{Template, TemplateField},
    tree::{Branch, Found, Trees},
};

/// Rules of all classes of event types at most; with more, there is one tree for all types.
const MAX_CLASS_RULES: usize = 100_000;

/// The same where parameters tell event types apart, too.
const MAX_PARAMETER_RULES: usize = 20_000;

/// What is known of a rule besides its condition and output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// Its `desc`.
    pub desc: String,
    /// From 0, emergency, to 7, debug.
    pub priority: u8,
    /// Where its events come from.
    pub source: SourceId,
    /// Sorted.
    pub tags: Vec<String>,
    /// Rules that are not enabled are kept, but never match.
    pub enabled: bool,
    /// The file that defines it.
    pub file: Arc<str>,
    /// Whether it is only counted: it hides no rule behind it, and is found behind any.
    pub shadow: bool,
}

/// A value that `append_output` adds to `output_fields`.
#[derive(Debug, Clone)]
pub enum ExtraField {
    /// A formatted text.
    Text(Template),
    /// A field's value.
    Raw(TemplateField),
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name, priority and the like.
    pub info: RuleInfo,
    /// Its output.
    pub output: Template,
    /// What is added to `output_fields`, by key.
    pub extra_fields: Vec<(String, ExtraField)>,
    /// The event types on which it can match.
    pub event_types: EventTypeSet,
    /// What its condition and its output ask for.
    fields: Box<[FieldId]>,
    /// Node of its condition.
    root: usize,
}

/// Whether an event is reported by one rule or by all that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// The first rule in the order of definition.
    #[default]
    First,
    /// Every rule.
    All,
}

/// Collects rules in the order of their definition.
#[derive(Debug)]
pub struct RuleSetBuilder {
    schema: Arc<Schema>,
    rules: Vec<Rule>,
    programs: Vec<ProgramBuilder>,
}

/// Rules that can be evaluated. Immutable; share it between threads.
#[derive(Debug)]
pub struct RuleSet {
    schema: Arc<Schema>,
    rules: Vec<Rule>,
    /// One for each source of the schema.
    sources: Vec<Source>,
    /// The first of the rules at the end that are all in shadow.
    shadow: usize,
}

/// Working memory of one thread; allocations are kept from event to event.
#[derive(Debug, Default)]
pub struct Scratch {
    places: Places,
    results: Results,
    matched: Vec<usize>,
}

/// The rules of one source.
#[derive(Debug, Default)]
struct Source {
    program: Program,
    /// For classes of event types that the rules do not tell apart.
    trees: Vec<Branch>,
    /// For each event type its tree; a single row for a source without types.
    by_type: Vec<usize>,
    typed: bool,
    counts: Counts,
}

/// Each field that the parts of a rule ask for, once.
fn fields(condition: &Condition, output: &Template, extra: &[(String, ExtraField)]) -> Box<[FieldId]> {
    let mut fields: Vec<_> = condition.fields().iter().copied().collect();
    fields.extend(output.fields().map(|field| field.id));
    for (_, field) in extra {
        match field {
            ExtraField::Text(template) => fields.extend(template.fields().map(|field| field.id)),
            ExtraField::Raw(field) => fields.push(field.id),
        }
    }
    fields.sort_unstable();
    fields.dedup();
    fields.into()
}

impl RuleSetBuilder {
    /// A builder without rules.
    pub fn new(schema: Arc<Schema>) -> Self {
        let program = |_| ProgramBuilder::new(Arc::clone(&schema));
        let programs = schema.sources().iter().map(program).collect();
        Self { schema, rules: Vec::new(), programs }
    }

    /// Adds a rule. One whose source the schema does not know is left out.
    pub fn add(
        &mut self,
        info: RuleInfo,
        condition: &Condition,
        output: Template,
        extra_fields: Vec<(String, ExtraField)>,
    ) {
        let Some(program) = self.programs.get_mut(usize::from(info.source.0)) else { return };
        let root = program.condition(condition);
        let event_types = condition.event_types().clone();
        let fields = fields(condition, &output, &extra_fields);
        self.rules.push(Rule { info, output, extra_fields, event_types, fields, root });
    }

    /// The rule set.
    pub fn build(self) -> RuleSet {
        let Self { schema, rules, programs } = self;
        let sources = (0..=u8::MAX).zip(programs).map(|(id, program)| {
            let id = SourceId(id);
            let typed = schema.sources().get(usize::from(id.0)).is_some_and(|s| s.typed);
            let enabled: Vec<_> =
                rules.iter().enumerate().filter(|(_, r)| r.info.enabled && r.info.source == id).collect();
            Source::new(program.build(), &enabled, typed.then_some(&*schema))
        });
        let sources = sources.collect();
        let shadow =
            rules.iter().rposition(|rule| !rule.info.shadow).map_or(0, |last| last.saturating_add(1));
        RuleSet { schema, rules, sources, shadow }
    }
}

impl Source {
    /// `types` has the event types of a source that has any.
    fn new(program: Program, rules: &[(usize, &Rule)], types: Option<&Schema>) -> Self {
        let all: Vec<_> = rules.iter().map(|(at, rule)| (*at, rule.root)).collect();
        let mut trees = Trees::new(&program);
        let (by_type, branches) = match types {
            None => (vec![0], vec![trees.tree(&all, None)]),
            Some(schema) => match Classes::of(rules, &program, schema) {
                Some(classes) => {
                    let branches =
                        classes.rules.iter().map(|(ty, rules)| trees.tree(rules, Some((schema, *ty))));
                    let branches = branches.collect();
                    (classes.by_type, branches)
                }
                None => (vec![0; schema.event_types().len()], vec![trees.tree(&all, None)]),
            },
        };
        let counts = trees.counts;
        Self { program, trees: branches, by_type, typed: types.is_some(), counts }
    }

    fn tree(&self, ty: EventTypeId) -> Option<&Branch> {
        let row = if self.typed { usize::from(ty.0) } else { 0 };
        self.trees.get(*self.by_type.get(row)?)
    }
}

/// Event types for which the same rules are possible, all comparisons of `evt.type` give the same, and the same parameters
/// are there.
struct Classes {
    by_type: Vec<usize>,
    /// For each class one of its types, and the rules with the nodes of their conditions.
    rules: Vec<(EventTypeId, Vec<(usize, usize)>)>,
}

impl Classes {
    /// The finest that are few enough; `None` if none are.
    fn of(rules: &[(usize, &Rule)], program: &Program, schema: &Schema) -> Option<Self> {
        let told: FxHashSet<_> =
            rules.iter().map(|(_, rule)| &rule.event_types).chain(program.decided()).collect();
        let told: Vec<_> = told.into_iter().collect();
        let parameters: Vec<_> = program.parameters().collect();
        let by_parameters = Self::told_by(&told, &parameters, rules, schema, MAX_PARAMETER_RULES);
        by_parameters.or_else(|| Self::told_by(&told, &[], rules, schema, MAX_CLASS_RULES))
    }

    /// Types are told apart by sets of types and by parameters; `None` if that gives more rules in all classes than there
    /// is room for.
    fn told_by(
        sets: &[&EventTypeSet],
        parameters: &[&str],
        rules: &[(usize, &Rule)],
        schema: &Schema,
        mut room: usize,
    ) -> Option<Self> {
        let mut known = FxHashMap::default();
        let mut classes = Self { by_type: Vec::new(), rules: Vec::new() };
        for (id, _) in (0..=u16::MAX).zip(schema.event_types()) {
            let id = EventTypeId(id);
            let in_sets = sets.iter().map(|types| types.contains(id));
            let has = parameters.iter().map(|name| schema.has_parameter(id, name));
            let next = classes.rules.len();
            let class = *known.entry(in_sets.chain(has).collect::<Vec<_>>()).or_insert(next);
            if class == next {
                let possible = rules.iter().filter(|(_, rule)| rule.event_types.contains(id));
                let possible: Vec<_> = possible.map(|(at, rule)| (*at, rule.root)).collect();
                room = room.checked_sub(possible.len())?;
                classes.rules.push((id, possible));
            }
            classes.by_type.push(class);
        }
        Some(classes)
    }
}

impl RuleSet {
    /// The schema that the rules were compiled against.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Every rule, in the order of definition.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The event types on which an enabled rule of the source can match.
    pub fn needed_event_types(&self, source: SourceId) -> EventTypeSet {
        let enabled = self.rules.iter().filter(|r| r.info.enabled && r.info.source == source);
        enabled.fold(EventTypeSet::none(&self.schema), |all, rule| all.union(&rule.event_types))
    }

    /// How many different comparisons and combinations of them the rules of all sources have.
    pub fn nodes(&self) -> usize {
        self.sources.iter().map(|s| s.program.nodes.len()).sum()
    }

    /// Whether any enabled rule of the source can match an event of this type.
    pub fn concerns(&self, source: SourceId, ty: EventTypeId) -> bool {
        let source = self.sources.get(usize::from(source.0));
        source.and_then(|source| source.tree(ty)).is_some_and(|tree| !tree.is_empty())
    }

    /// The event types on which an enabled rule of the source asks for a field of this kind, in its condition or output.
    pub fn asks_for(&self, source: SourceId, kind: impl Fn(FieldId) -> bool) -> EventTypeSet {
        let enabled = self.rules.iter().filter(|rule| rule.info.enabled && rule.info.source == source);
        let asking = enabled.filter(|rule| rule.fields.iter().any(|field| kind(*field)));
        asking.fold(EventTypeSet::none(&self.schema), |types, rule| types.union(&rule.event_types))
    }

    /// Calls `on_match` for the first or for every enabled rule that the event matches, in order; and for every rule in
    /// shadow.
    pub fn evaluate(
        &self,
        source: SourceId,
        record: &dyn Record,
        matching: Matching,
        scratch: &mut Scratch,
        on_match: impl FnMut(&Rule),
    ) {
        let Some(source) = self.sources.get(usize::from(source.0)) else { return };
        let ty = record.event_type();
        let Some(tree) = source.tree(ty).filter(|tree| !tree.is_empty()) else { return };
        let Scratch { places, results, matched } = scratch;
        matched.clear();
        let mut run = Run::new(&source.program, source.counts, (record, ty), (places, results));
        let first_only = matching == Matching::First;
        tree.find(&mut run, &mut Found { rules: matched, first: None, first_only, shadow: self.shadow });
        run.finish();
        matched.sort_unstable();
        matched.iter().filter_map(|at| self.rules.get(*at)).for_each(on_match);
    }
}
