//! What must be found in a field for a condition to hold: texts that it equals, begins with or contains. All rules'
//! texts over one field are looked up at once.

use aho_corasick::{
    Anchored, Input, MatchKind,
    automaton::{Automaton as _, OverlappingState},
    nfa::contiguous::NFA,
};
use memchr::memmem;
use rustc_hash::FxHashMap;

use crate::{
    ast::Modifier,
    evaluate::{Against, Atom},
    ops::{Combine, Test, bytes},
    program::{Program, Step},
    transform::Read,
    value::Value,
};

/// Texts of one gate at most; a longer list is one look-up of its own.
const MAX_KEYS: usize = 32;

/// Nodes of one condition that are searched for a gate at most.
const MAX_NODES: usize = 256;

/// So few texts are sooner tried one by one.
const fn is_few(kind: Kind, texts: usize) -> bool {
    texts
        <= match kind {
            Kind::Equal => 4,
            Kind::Prefix => 8,
            Kind::Inside => 2,
        }
}

/// How a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Equal,
    Prefix,
    Inside,
}

/// A text that is looked for in a field; the field is its place in the program.
pub(crate) type Key<'p> = (Kind, usize, &'p [u8]);

/// What must be found: one of several texts.
pub(crate) struct Gate<'p> {
    pub(crate) keys: Vec<Key<'p>>,
    /// What is found makes the condition hold, and not only possible.
    pub(crate) exact: bool,
}

impl<'p> Gate<'p> {
    /// The gate of a node, if it has one; `seen` counts the nodes that were looked at.
    pub(crate) fn of(program: &'p Program, node: usize, seen: &mut usize) -> Option<Self> {
        *seen = seen.saturating_add(1);
        if *seen > MAX_NODES {
            return None;
        }
        match program.step(node)? {
            Step::Atom(atom) => Some(Self { keys: keys(atom)?, exact: true }),
            Step::And(members) => {
                let gates = members.iter().filter_map(|m| Self::of(program, *m, seen));
                let gate = gates.min_by_key(|gate| gate.rank(program))?;
                Some(Self { exact: false, ..gate })
            }
            Step::Or(members) => {
                let mut gate = Self { keys: Vec::new(), exact: false };
                for member in members {
                    gate.keys.extend(Self::of(program, *member, seen)?.keys);
                    if gate.keys.len() > MAX_KEYS {
                        return None;
                    }
                }
                (!gate.keys.is_empty()).then_some(gate)
            }
            Step::Not(_) => None,
        }
    }

    /// Less is better.
    fn rank(&self, program: &Program) -> (bool, Option<Kind>, usize) {
        let costly = self.keys.iter().any(|key| program.is_costly(key.1));
        (costly, self.keys.iter().map(|key| key.0).max(), self.keys.len())
    }
}

fn keys(atom: &Atom) -> Option<Vec<Key<'_>>> {
    let (Read::Field(slot), Against::Test(test)) = (&atom.left, &atom.right) else { return None };
    if atom.combine == Combine::List {
        return None;
    }
    let texts = texts(test)?;
    (texts.len() <= MAX_KEYS).then(|| texts.into_iter().map(|(kind, text)| (kind, *slot, text)).collect())
}

fn texts(test: &Test) -> Option<Vec<(Kind, &[u8])>> {
    let one = |kind, text| Some(vec![(kind, text)]);
    match test {
        Test::Equal(literal) => one(Kind::Equal, literal.text()?),
        Test::In(set) => Some(set.texts()?.into_iter().map(|text| (Kind::Equal, text)).collect()),
        Test::StartsWith(text) if !text.is_empty() => one(Kind::Prefix, text),
        Test::Contains(finder) if !finder.needle().is_empty() => one(Kind::Inside, finder.needle()),
        Test::Modified(Modifier::AnyOf, tests) if tests.len() <= MAX_KEYS => {
            let each: Option<Vec<_>> = tests.iter().map(texts).collect();
            each.map(|each| each.concat())
        }
        _ => None,
    }
}

/// What a text opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opens {
    /// The gate; no other tree of the program has its number.
    pub(crate) gate: usize,
    /// Where what is behind it stands.
    pub(crate) at: usize,
}

/// The texts of many gates over one field, and what each leads to.
#[derive(Debug)]
pub(crate) struct Lookup {
    slot: usize,
    /// Its number among what depends on the process alone, if it does.
    pub(crate) of_process: Option<usize>,
    finder: Finder,
    /// For each text the gates that it opens.
    gates: Vec<Vec<Opens>>,
}

#[derive(Debug)]
enum Finder {
    Few(Kind, Vec<memmem::Finder<'static>>),
    Equal(FxHashMap<Box<[u8]>, usize>),
    Prefix(NFA),
    Inside(NFA),
}

impl Lookup {
    /// Looks for these texts, each with its gate; `None` if they are too many for an automaton.
    pub(crate) fn new(kind: Kind, slot: usize, texts: &[(&[u8], Opens)]) -> Option<Self> {
        let mut gates: Vec<Vec<Opens>> = Vec::new();
        let mut known: FxHashMap<Box<[u8]>, usize> = FxHashMap::default();
        let mut patterns = Vec::new();
        for (text, gate) in texts {
            let next = gates.len();
            let at = *known.entry((*text).into()).or_insert(next);
            if at == next {
                gates.push(Vec::new());
                patterns.push(*text);
            }
            gates.get_mut(at).into_iter().for_each(|gates| gates.push(*gate));
        }
        let automaton = || NFA::builder().match_kind(MatchKind::Standard).build(&patterns).ok();
        let alone = |text: &&[u8]| memmem::Finder::new(*text).into_owned();
        let finder = match kind {
            kind if is_few(kind, patterns.len()) => Finder::Few(kind, patterns.iter().map(alone).collect()),
            Kind::Equal => Finder::Equal(known),
            Kind::Prefix => Finder::Prefix(automaton()?),
            Kind::Inside => Finder::Inside(automaton()?),
        };
        Some(Self { slot, of_process: None, finder, gates })
    }

    /// Calls `open` for every gate that a value opens; some may be opened several times.
    pub(crate) fn open(&self, value: &Value<'_>, open: &mut impl FnMut(Opens)) {
        match value {
            Value::List(values) => values.iter().filter_map(bytes).for_each(|text| self.find(text, open)),
            value => bytes(value).into_iter().for_each(|text| self.find(text, open)),
        }
    }

    /// The field that is looked at.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    fn find(&self, text: &[u8], open: &mut impl FnMut(Opens)) {
        let (automaton, anchored) = match &self.finder {
            Finder::Few(kind, texts) => return self.find_few(*kind, texts, text, open),
            Finder::Equal(known) => return known.get(text).into_iter().for_each(|at| self.gates(*at, open)),
            Finder::Prefix(automaton) => (automaton, Anchored::Yes),
            Finder::Inside(automaton) => (automaton, Anchored::No),
        };
        let (input, mut state) = (Input::new(text).anchored(anchored), OverlappingState::start());
        while automaton.try_find_overlapping(&input, &mut state).is_ok() {
            let Some(found) = state.get_match() else { return };
            // An anchored search also tells of texts that end within a prefix that it follows.
            if anchored == Anchored::No || found.start() == 0 {
                self.gates(found.pattern().as_usize(), open);
            }
        }
    }

    fn find_few(&self, kind: Kind, texts: &[memmem::Finder<'_>], text: &[u8], open: &mut impl FnMut(Opens)) {
        for (finder, gates) in texts.iter().zip(&self.gates) {
            let found = match kind {
                Kind::Equal => text == finder.needle(),
                Kind::Prefix => text.starts_with(finder.needle()),
                Kind::Inside => finder.find(text).is_some(),
            };
            if found {
                for gate in gates {
                    open(*gate);
                }
            }
        }
    }

    fn gates(&self, text: usize, open: &mut impl FnMut(Opens)) {
        self.gates.get(text).into_iter().flatten().for_each(|gate| open(*gate));
    }
}
