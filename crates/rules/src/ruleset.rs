//! Compiled rules, indexed by source and event type. Equal comparisons of all rules of a source are one
//! node, and a node is evaluated at most once for each event.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    check::FieldRef,
    compile::{Condition, Node},
    evaluate::{Atom, Cache, Memory},
    event_types::EventTypeSet,
    schema::{Record, Schema, SourceId},
    template::{Template, TemplateField},
};

/// What is known of a rule besides its condition and output.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    programs: Vec<Program>,
}

/// Working memory of one thread; allocations are kept from event to event.
#[derive(Debug, Default)]
pub struct Scratch {
    fields: Memory<'static>,
    /// For each node the event (its generation) that it was evaluated for, and the result.
    results: Vec<(u32, bool)>,
    generation: u32,
}

/// The conditions of one source.
#[derive(Debug, Default)]
struct Program {
    fields: Vec<FieldRef>,
    nodes: Vec<Step>,
    /// For each event type the rules that can match, in order; a single row for a source without types.
    by_type: Vec<Vec<usize>>,
    typed: bool,
}

#[derive(Debug)]
enum Step {
    And(Vec<usize>),
    Or(Vec<usize>),
    Not(usize),
    Atom(Atom),
}

/// What tells a node from others of the same source.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    And(Vec<usize>),
    Or(Vec<usize>),
    Not(usize),
    Atom(String),
}

#[derive(Debug, Default)]
struct ProgramBuilder {
    fields: Vec<FieldRef>,
    known_fields: FxHashMap<FieldRef, usize>,
    nodes: Vec<Step>,
    known: FxHashMap<Key, usize>,
    /// The nodes of macros by their place in memory, which is kept for this.
    parts: FxHashMap<*const Condition, (Arc<Condition>, usize)>,
}

impl RuleSetBuilder {
    /// A builder without rules.
    pub fn new(schema: Arc<Schema>) -> Self {
        let programs = schema.sources().iter().map(|_| ProgramBuilder::default()).collect();
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
        self.rules.push(Rule { info, output, extra_fields, event_types, root });
    }

    /// The rule set.
    pub fn build(self) -> RuleSet {
        let Self { schema, rules, programs } = self;
        let finished = (0..=u8::MAX).zip(programs).map(|(source, program)| {
            let source = SourceId(source);
            let typed = schema.sources().get(usize::from(source.0)).is_some_and(|s| s.typed);
            let by_type =
                if typed { rules_by_type(&schema, &rules, source) } else { vec![rules_of(&rules, source)] };
            Program { fields: program.fields, nodes: program.nodes, by_type, typed }
        });
        let programs = finished.collect();
        RuleSet { schema, rules, programs }
    }
}

/// The places of the enabled rules of a source.
fn rules_of(rules: &[Rule], source: SourceId) -> Vec<usize> {
    let enabled = rules.iter().enumerate().filter(|(_, r)| r.info.enabled && r.info.source == source);
    enabled.map(|(at, _)| at).collect()
}

fn rules_by_type(schema: &Schema, rules: &[Rule], source: SourceId) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); schema.event_types().len()];
    for at in rules_of(rules, source) {
        let types = rules.get(at).into_iter().flat_map(|r| r.event_types.iter());
        for id in types {
            if let Some(row) = rows.get_mut(usize::from(id.0)) {
                row.push(at);
            }
        }
    }
    rows
}

impl ProgramBuilder {
    fn slot(&mut self, field: &FieldRef) -> usize {
        let next = self.fields.len();
        let slot = *self.known_fields.entry(field.clone()).or_insert(next);
        if slot == next {
            self.fields.push(field.clone());
        }
        slot
    }

    fn condition(&mut self, condition: &Condition) -> usize {
        let slots: Vec<usize> = condition.own_fields.iter().map(|f| self.slot(f)).collect();
        self.insert(&condition.root, &slots)
    }

    fn part(&mut self, part: &Arc<Condition>) -> usize {
        if let Some((_, known)) = self.parts.get(&Arc::as_ptr(part)) {
            return *known;
        }
        let node = self.condition(part);
        self.parts.insert(Arc::as_ptr(part), (Arc::clone(part), node));
        node
    }

    /// The node equal to this one, new if there is none.
    fn insert(&mut self, node: &Node, slots: &[usize]) -> usize {
        let (key, step) = match node {
            Node::Part(part) => return self.part(part),
            Node::And(members) => {
                let members = self.insert_all(members, slots);
                (Key::And(members.clone()), Step::And(members))
            }
            Node::Or(members) => {
                let members = self.insert_all(members, slots);
                (Key::Or(members.clone()), Step::Or(members))
            }
            Node::Not(inner) => {
                let inner = self.insert(inner, slots);
                (Key::Not(inner), Step::Not(inner))
            }
            Node::Atom(atom) => (Key::Atom(atom.0.clone()), Step::Atom(atom.1.moved(slots))),
        };
        let next = self.nodes.len();
        let at = *self.known.entry(key).or_insert(next);
        if at == next {
            self.nodes.push(step);
        }
        at
    }

    fn insert_all(&mut self, nodes: &[Node], slots: &[usize]) -> Vec<usize> {
        let mut places = Vec::with_capacity(nodes.len());
        for node in nodes {
            places.push(self.insert(node, slots));
        }
        places
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
        self.programs.iter().map(|p| p.nodes.len()).sum()
    }

    /// Calls `on_match` for the first or for every enabled rule that the event matches, in order.
    pub fn evaluate(
        &self,
        source: SourceId,
        record: &dyn Record,
        matching: Matching,
        scratch: &mut Scratch,
        mut on_match: impl FnMut(&Rule),
    ) {
        let Some(program) = self.programs.get(usize::from(source.0)) else { return };
        let candidates = program.candidates(record);
        if candidates.is_empty() {
            return;
        }
        let mut run = Run::new(program, record, scratch);
        for rule in candidates.iter().filter_map(|at| self.rules.get(*at)) {
            if run.holds(rule.root) {
                on_match(rule);
                if matching == Matching::First {
                    break;
                }
            }
        }
        run.finish();
    }
}

impl Program {
    fn candidates(&self, record: &dyn Record) -> &[usize] {
        let row = if self.typed { usize::from(record.event_type().0) } else { 0 };
        self.by_type.get(row).map_or(&[], Vec::as_slice)
    }
}

/// The evaluation of one event.
struct Run<'r, 's> {
    program: &'r Program,
    cache: Cache<'r>,
    scratch: &'s mut Scratch,
}

impl<'r, 's> Run<'r, 's> {
    fn new(program: &'r Program, record: &'r dyn Record, scratch: &'s mut Scratch) -> Self {
        let memory = std::mem::take(&mut scratch.fields);
        let cache = Cache::new(record, &program.fields, memory);
        scratch.generation = scratch.generation.wrapping_add(1);
        if scratch.generation == 0 || scratch.results.len() < program.nodes.len() {
            scratch.results = vec![(0, false); program.nodes.len()];
            scratch.generation = 1;
        }
        Self { program, cache, scratch }
    }

    fn finish(self) {
        self.scratch.fields = self.cache.into_memory().recycle();
    }

    fn holds(&mut self, node: usize) -> bool {
        let generation = self.scratch.generation;
        if let Some((known, result)) = self.scratch.results.get(node)
            && *known == generation
        {
            return *result;
        }
        let result = match self.program.nodes.get(node) {
            Some(Step::And(members)) => members.iter().all(|m| self.holds(*m)),
            Some(Step::Or(members)) => members.iter().any(|m| self.holds(*m)),
            Some(Step::Not(inner)) => !self.holds(*inner),
            Some(Step::Atom(atom)) => atom.holds(&mut self.cache),
            None => false,
        };
        if let Some(place) = self.scratch.results.get_mut(node) {
            *place = (generation, result);
        }
        result
    }
}
