//! The texts of all rules over one field, looked up at once.

use aho_corasick::{
    Anchored, Input, MatchKind,
    automaton::{Automaton as _, OverlappingState},
    nfa::contiguous::NFA,
};
use memchr::memmem;
use rustc_hash::FxHashMap;

use crate::{ops::bytes, value::Value};

/// How a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Equal,
    Prefix,
    Inside,
}

/// So few texts are sooner tried one by one.
const fn is_few(kind: Kind, texts: usize) -> bool {
    texts
        <= match kind {
            Kind::Equal => 4,
            Kind::Prefix => 8,
            Kind::Inside => 2,
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
