//! The conditions of one source as nodes: equal comparisons and combinations of all rules are one node, which is
//! evaluated at most once for each event.

use std::{
    borrow::{Borrow, Cow},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    ast::Modifier,
    cache::{Cache, Places, Values, recycle},
    compile::{Condition, Node},
    evaluate::{Against, Atom},
    event_types::EventTypeSet,
    lookup::{Lookup, Opens},
    ops::Test,
    remember::Remembered,
    schema::{ArgKind, ArgRule, EventTypeId, FieldRef, Record, Schema, field_flags},
    transform::Read,
};

/// What reading a field takes, in comparisons of a number.
const READ: usize = 4;

/// What reading a costly field takes: so much that nearly everything else is tried before.
const COSTLY: usize = 1024;

/// Fields and nodes; a node's members stand before it.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) fields: Vec<FieldRef>,
    traits: Vec<Traits>,
    pub(crate) nodes: Vec<Shared>,
    /// Nodes that depend on the process alone.
    pub(crate) process_nodes: usize,
    /// No other program has it.
    id: u64,
}

/// What is known of a field before any event.
#[derive(Debug, Default)]
struct Traits {
    /// Put together for each event.
    costly: bool,
    /// Depends on the process alone.
    of_process: bool,
    /// A parameter of events, given by its name.
    parameter: bool,
}

impl Traits {
    fn of((id, arg): &FieldRef, schema: &Schema) -> Self {
        let Some(field) = schema.field(*id) else { return Self::default() };
        let named = arg.as_ref().is_some_and(|arg| arg.index.is_none());
        Self {
            costly: field.has(field_flags::COSTLY),
            of_process: field.has(field_flags::OF_PROCESS),
            parameter: named && field.arg == ArgRule::Required(ArgKind::Parameter),
        }
    }
}

/// A node.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) step: Step,
    /// What its evaluation takes on average, in comparisons of a number.
    pub(crate) cost: usize,
    /// How often it holds by experience, percent.
    chance: usize,
    /// Whether event types decide about a part of it.
    typed: bool,
    /// More than one node or rule needs it: its result is kept for the event.
    kept: bool,
    /// Its number among those that depend on the process alone, if it is one.
    of_process: Option<usize>,
}

#[derive(Debug)]
pub(crate) enum Step {
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

/// Puts conditions into a program.
#[derive(Debug)]
pub(crate) struct ProgramBuilder {
    schema: Arc<Schema>,
    program: Program,
    known_fields: FxHashMap<FieldRef, usize>,
    known: FxHashMap<Key, usize>,
    /// The nodes of macros by their place in memory, which is kept for this.
    parts: FxHashMap<*const Condition, (Arc<Condition>, usize)>,
}

impl ProgramBuilder {
    /// No conditions yet.
    pub(crate) fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            program: Program::default(),
            known_fields: FxHashMap::default(),
            known: FxHashMap::default(),
            parts: FxHashMap::default(),
        }
    }

    /// The node of a condition.
    pub(crate) fn condition(&mut self, condition: &Condition) -> usize {
        let slots: Vec<usize> = condition.own_fields.iter().map(|f| self.slot(f)).collect();
        self.insert(&condition.root, &slots)
    }

    /// The program.
    pub(crate) fn build(mut self) -> Program {
        static PROGRAMS: AtomicU64 = AtomicU64::new(1);
        self.program.id = PROGRAMS.fetch_add(1, Ordering::Relaxed);
        self.program
    }

    fn slot(&mut self, field: &FieldRef) -> usize {
        let next = self.program.fields.len();
        let slot = *self.known_fields.entry(field.clone()).or_insert(next);
        if slot == next {
            self.program.fields.push(field.clone());
            self.program.traits.push(Traits::of(field, &self.schema));
        }
        slot
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
        match node {
            Node::Part(part) => self.part(part),
            Node::And(members) => {
                let members = self.insert_all(members, slots, false);
                self.node(Key::And(members.clone()), || Step::And(members))
            }
            Node::Or(members) => {
                let members = self.insert_all(&any_of_each_field(members), slots, true);
                self.node(Key::Or(members.clone()), || Step::Or(members))
            }
            Node::Not(inner) => {
                let inner = self.insert(inner, slots);
                self.node(Key::Not(inner), || Step::Not(inner))
            }
            Node::Atom(atom) => self.node(Key::Atom(atom.0.clone()), || Step::Atom(atom.1.moved(slots))),
        }
    }

    /// What decides soonest comes first: no member changes what another gives. `decides` is the result of a member that
    /// makes the others needless.
    fn insert_all<N: Borrow<Node>>(&mut self, nodes: &[N], slots: &[usize], decides: bool) -> Vec<usize> {
        let mut places = Vec::with_capacity(nodes.len());
        for node in nodes {
            places.push(self.insert(node.borrow(), slots));
        }
        places.sort_by_key(|node| (self.program.rank(*node, decides), *node));
        places
    }

    fn node(&mut self, key: Key, step: impl FnOnce() -> Step) -> usize {
        let next = self.program.nodes.len();
        let at = *self.known.entry(key).or_insert(next);
        if at == next {
            let step = step();
            let (cost, chance) = self.program.estimate(&step);
            let typed = self.program.is_step_typed(&step);
            let of_process = self.program.is_of_process(&step).then_some(self.program.process_nodes);
            let more = usize::from(of_process.is_some());
            self.program.process_nodes = self.program.process_nodes.saturating_add(more);
            self.program.nodes.push(Shared { step, cost, chance, typed, kept: false, of_process });
        } else if let Some(node) = self.program.nodes.get_mut(at) {
            node.kept = true;
        }
        at
    }
}

/// The members of an `or`, in which comparisons of one field with constants are one comparison with any of them: the
/// field is looked at once.
fn any_of_each_field<'n>(members: &'n [Node]) -> Vec<Cow<'n, Node>> {
    let mut groups: Vec<Vec<&'n Node>> = Vec::new();
    let mut known: FxHashMap<usize, usize> = FxHashMap::default();
    for member in members {
        let next = groups.len();
        let at = field_of(member).map_or(next, |slot| *known.entry(slot).or_insert(next));
        match groups.get_mut(at) {
            Some(group) => group.push(member),
            None => groups.push(vec![member]),
        }
    }
    let member = |group: &Vec<&'n Node>| match group.as_slice() {
        [one] => Some(Cow::Borrowed(*one)),
        several => any_of(several),
    };
    groups.iter().filter_map(member).collect()
}

/// The field of a comparison with a constant.
fn field_of(node: &Node) -> Option<usize> {
    let Node::Atom(atom) = node else { return None };
    match (&atom.1.left, &atom.1.right, &atom.1.types) {
        (Read::Field(slot), Against::Test(_), None) => Some(*slot),
        _ => None,
    }
}

fn any_of<'n>(comparisons: &[&Node]) -> Option<Cow<'n, Node>> {
    let (mut texts, mut tests, mut sample) = (Vec::new(), Vec::new(), None);
    for node in comparisons {
        let Node::Atom(atom) = node else { continue };
        let Against::Test(test) = &atom.1.right else { continue };
        texts.push(atom.0.as_str());
        tests.push(test.clone());
        sample = Some(&atom.1);
    }
    tests.sort_by_key(Test::cost);
    let any = Against::Test(Test::Modified(Modifier::AnyOf, tests));
    let atom = Atom::new(sample?.left.clone(), sample?.combine, any);
    Some(Cow::Owned(Node::Atom(Box::new((texts.join(" or "), atom)))))
}

impl Program {
    /// The event types of the comparisons of `evt.type`.
    pub(crate) fn decided(&self) -> impl Iterator<Item = &EventTypeSet> {
        self.nodes.iter().filter_map(|node| match &node.step {
            Step::Atom(atom) => atom.types.as_deref(),
            _ => None,
        })
    }

    pub(crate) fn step(&self, node: usize) -> Option<&Step> {
        self.nodes.get(node).map(|n| &n.step)
    }

    pub(crate) fn cost(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |n| n.cost)
    }

    /// Whether event types may decide about a part of the node.
    pub(crate) fn is_typed(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|n| n.typed)
    }

    fn is_step_typed(&self, step: &Step) -> bool {
        match step {
            Step::And(members) | Step::Or(members) => members.iter().any(|member| self.is_typed(*member)),
            Step::Not(inner) => self.is_typed(*inner),
            Step::Atom(atom) => {
                atom.types.is_some() || atom.slots.iter().any(|slot| self.parameter(*slot).is_some())
            }
        }
    }

    fn is_of_process(&self, step: &Step) -> bool {
        let known = |node: &usize| self.nodes.get(*node).is_some_and(|n| n.of_process.is_some());
        match step {
            Step::And(members) | Step::Or(members) => members.iter().all(known),
            Step::Not(inner) => known(inner),
            Step::Atom(atom) => {
                atom.types.is_none() && atom.slots.iter().all(|slot| self.reads_process(*slot))
            }
        }
    }

    /// How often a node holds by experience, percent.
    pub(crate) fn chance(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |n| n.chance)
    }

    /// What a node costs for each time that its result is `decides`: the order in which members are tried.
    pub(crate) fn rank(&self, node: usize, decides: bool) -> usize {
        let chance = if decides { self.chance(node) } else { 100_usize.saturating_sub(self.chance(node)) };
        let cost = self.cost(node).saturating_mul(100);
        cost.checked_div(chance).unwrap_or(usize::MAX)
    }

    /// What a step costs on average, and how often it holds, percent.
    fn estimate(&self, step: &Step) -> (usize, usize) {
        match step {
            Step::And(members) => self.estimate_all(members, false),
            Step::Or(members) => self.estimate_all(members, true),
            Step::Not(inner) => (self.cost(*inner), 100_usize.saturating_sub(self.chance(*inner))),
            Step::Atom(atom) if atom.types.is_some() => (1, 50),
            Step::Atom(atom) => {
                let read = |slot: &usize| if self.is_costly(*slot) { COSTLY } else { READ };
                let cost = atom.slots.iter().map(read).fold(atom.cost(), usize::saturating_add);
                (cost, atom.chance())
            }
        }
    }

    /// The later a member stands, the more seldom it is reached.
    fn estimate_all(&self, members: &[usize], decides: bool) -> (usize, usize) {
        // In thousandths of a comparison, and of a per cent.
        let (mut cost, mut reached) = (0_usize, 100_000_usize);
        for member in members {
            cost = cost.saturating_add(self.cost(*member).saturating_mul(reached) / 100);
            let chance = self.chance(*member);
            let goes_on = if decides { 100_usize.saturating_sub(chance) } else { chance };
            reached = reached.saturating_mul(goes_on) / 100;
        }
        let all = reached / 1000;
        ((cost / 1000).max(1), if decides { 100_usize.saturating_sub(all) } else { all })
    }

    /// Whether a field depends on the process alone.
    pub(crate) fn reads_process(&self, slot: usize) -> bool {
        self.traits.get(slot).is_some_and(|field| field.of_process)
    }

    /// Whether a field is put together for each event.
    pub(crate) fn is_costly(&self, slot: usize) -> bool {
        self.traits.get(slot).is_some_and(|field| field.costly)
    }

    /// The name of the parameter that a field is.
    pub(crate) fn parameter(&self, slot: usize) -> Option<&str> {
        self.traits.get(slot).filter(|field| field.parameter)?;
        Some(&self.fields.get(slot)?.1.as_ref()?.text)
    }

    /// The names of all parameters that are fields.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        (0..self.fields.len()).filter_map(|slot| self.parameter(slot))
    }

    /// Whether a comparison takes hardly more than reading its field.
    pub(crate) fn is_cheap(&self, node: usize) -> bool {
        self.cost(node) <= READ.saturating_add(2)
    }
}

/// How much there is to keep in mind of an event and of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) gates: usize,
    /// Nodes and look-ups that depend on the process alone.
    pub(crate) of_process: usize,
}

/// Working memory of one thread; allocations are kept from event to event.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// None, with room for those of an event.
    values: Values<'static>,
    /// For each node the event (its generation) that it was evaluated for, and the result.
    known: Vec<(u32, bool)>,
    /// For each gate the event that opened it last.
    opened: Vec<u32>,
    generation: u32,
    remembered: Remembered,
}

/// The evaluation of one event.
pub(crate) struct Run<'r, 's> {
    program: &'r Program,
    /// The type of the event.
    ty: EventTypeId,
    cache: Cache<'r, 's>,
    results: &'s mut Results,
    /// Where the process's results are remembered.
    process: Option<usize>,
}

impl<'r, 's> Run<'r, 's> {
    /// `counts` is of the trees of the program.
    pub(crate) fn new(
        program: &'r Program,
        counts: Counts,
        (record, ty): (&'r dyn Record, EventTypeId),
        (places, results): (&'s mut Places, &'s mut Results),
    ) -> Self {
        let cache = Cache::new(record, &program.fields, places, std::mem::take(&mut results.values));
        results.generation = results.generation.wrapping_add(1);
        let grown = results.known.len() < program.nodes.len() || results.opened.len() < counts.gates;
        if results.generation == 0 || grown {
            results.known = vec![(0, false); program.nodes.len().max(results.known.len())];
            results.opened = vec![0; counts.gates.max(results.opened.len())];
            results.generation = 1;
        }
        let state = record.process_state();
        let process = state.map(|state| results.remembered.place(program.id, counts.of_process, state));
        Self { program, ty, cache, results, process }
    }

    /// What is behind the gates that this event opens now and did not open before.
    pub(crate) fn opened(&mut self, lookup: &Lookup) -> SmallVec<[usize; 8]> {
        let mut new = SmallVec::new();
        let place = self.process.zip(lookup.of_process);
        if place.is_some_and(|(process, number)| self.results.remembered.get(process, number) == Some(false))
        {
            return new;
        }
        let mut any = false;
        let (opened, generation) = (&mut self.results.opened, self.results.generation);
        let mut open = |opens: Opens| {
            any = true;
            if let Some(last) = opened.get_mut(opens.gate).filter(|last| **last != generation) {
                *last = generation;
                new.push(opens.at);
            }
        };
        self.cache.look(lookup.slot(), |value| lookup.open(value, &mut open));
        if let Some((process, number)) = place {
            self.results.remembered.set(process, number, any);
        }
        new
    }

    pub(crate) fn finish(self) {
        self.results.values = recycle(self.cache.into_values());
    }

    pub(crate) fn holds(&mut self, node: usize) -> bool {
        let Some(Shared { step, kept, of_process, .. }) = self.program.nodes.get(node) else { return false };
        if let (Some(number), Some(process)) = (of_process, self.process) {
            return self.of_process(step, process, *number);
        }
        if !kept {
            return self.evaluate(step);
        }
        let generation = self.results.generation;
        if let Some((_, result)) = self.results.known.get(node).filter(|known| known.0 == generation) {
            return *result;
        }
        let result = self.evaluate(step);
        if let Some(place) = self.results.known.get_mut(node) {
            *place = (generation, result);
        }
        result
    }

    /// A node that gives the same until the process changes.
    fn of_process(&mut self, step: &'r Step, process: usize, number: usize) -> bool {
        if let Some(known) = self.results.remembered.get(process, number) {
            return known;
        }
        let result = self.evaluate(step);
        self.results.remembered.set(process, number, result);
        result
    }

    fn evaluate(&mut self, step: &'r Step) -> bool {
        match step {
            Step::And(members) => members.iter().all(|m| self.holds(*m)),
            Step::Or(members) => members.iter().any(|m| self.holds(*m)),
            Step::Not(inner) => !self.holds(*inner),
            Step::Atom(atom) => match &atom.types {
                Some(types) => types.contains(self.ty),
                None => atom.holds(&mut self.cache),
            },
        }
    }
}
