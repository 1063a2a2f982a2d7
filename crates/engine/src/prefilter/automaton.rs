//! Patterns to an automaton that reads a path once, byte by byte, whatever their number: subset construction.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{
    MAX_STATES,
    pattern::{self, Pattern, Patterns, Token},
};

/// Bytes that every pattern treats alike: a class for each byte that some pattern names, and 0 for the others.
pub(super) struct Classes {
    pub(super) of: [u8; 256],
    pub(super) count: usize,
}

impl Classes {
    pub(super) fn new(patterns: &Patterns) -> Self {
        let mut named: BTreeSet<u8> = patterns.bytes().collect();
        // 256 classes would not fit beside class 0; a NUL is in no path.
        named.remove(&0);
        let mut of = [0; 256];
        for (byte, class) in named.iter().zip(1..) {
            if let Some(slot) = of.get_mut(usize::from(*byte)) {
                *slot = class;
            }
        }
        Self { of, count: named.len().saturating_add(1) }
    }

    fn of(&self, byte: u8) -> usize {
        self.of.get(usize::from(byte)).map_or(0, |class| usize::from(*class))
    }
}

/// A place in a pattern: number of the pattern among those of the automaton, and of the token that is next.
type Place = (usize, usize);

pub(super) struct Automaton<'p> {
    patterns: Vec<(usize, &'p Pattern)>,
    /// Each state is a sorted set of places.
    states: Vec<Vec<Place>>,
    /// For each state the next one by class.
    next: Vec<Vec<usize>>,
}

impl<'p> Automaton<'p> {
    /// The automaton of these patterns; `None` if it has too many states.
    pub(super) fn new(patterns: Vec<(usize, &'p Pattern)>, classes: &Classes) -> Option<Self> {
        let mut automaton = Self { patterns, states: Vec::new(), next: Vec::new() };
        let mut start = Vec::new();
        for number in 0..automaton.patterns.len() {
            automaton.enter(&mut start, (number, 0));
        }
        let mut numbers = FxHashMap::default();
        automaton.state(start, &mut numbers);
        while let Some(places) = automaton.states.get(automaton.next.len()).cloned() {
            let other = automaton.state(automaton.step(&places, None), &mut numbers);
            let mut row = vec![other; classes.count];
            for byte in automaton.named(&places) {
                let next = automaton.state(automaton.step(&places, Some(byte)), &mut numbers);
                *row.get_mut(classes.of(byte))? = next;
            }
            automaton.next.push(row);
            if automaton.states.len() > MAX_STATES {
                return None;
            }
        }
        Some(automaton)
    }

    /// How many states there are.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// For each state the next one by class, all counted from `offset`.
    pub(super) fn next(&self, offset: usize) -> Option<Vec<u16>> {
        self.next.iter().flatten().map(|state| u16::try_from(state.saturating_add(offset)).ok()).collect()
    }

    /// For each state the bits that `of` gives for the patterns, `count` with those of others, which match a
    /// path that ends in it.
    pub(super) fn bits(&self, count: usize, of: impl Fn(&[bool]) -> u64) -> Vec<u64> {
        self.states.iter().map(|places| of(&self.matched(places, count))).collect()
    }

    fn matched(&self, places: &[Place], count: usize) -> Vec<bool> {
        let mut matched = vec![false; count];
        for place in places.iter().filter(|place| self.token(**place).is_none()) {
            let number = self.patterns.get(place.0).map(|pattern| pattern.0);
            if let Some(slot) = number.and_then(|number| matched.get_mut(number)) {
                *slot = true;
            }
        }
        matched
    }

    /// The number of the state with these places.
    fn state(&mut self, places: Vec<Place>, numbers: &mut FxHashMap<Vec<Place>, usize>) -> usize {
        let new = self.states.len();
        *numbers.entry(places).or_insert_with_key(|places| {
            self.states.push(places.clone());
            new
        })
    }

    fn token(&self, (number, at): Place) -> Option<Token> {
        self.patterns.get(number)?.1.get(at).copied()
    }

    /// Adds a place, and those behind tokens that need no byte.
    fn enter(&self, places: &mut Vec<Place>, place: Place) {
        if let Err(gap) = places.binary_search(&place) {
            places.insert(gap, place);
        }
        if matches!(self.token(place), Some(Token::Many | Token::InName)) {
            self.enter(places, (place.0, place.1.saturating_add(1)));
        }
    }

    /// The bytes that lead elsewhere than all others.
    fn named(&self, places: &[Place]) -> BTreeSet<u8> {
        let named = |place: &Place| match self.token(*place) {
            Some(Token::Byte(byte)) => Some(byte),
            Some(Token::InName) => Some(b'/'),
            _ => None,
        };
        places.iter().filter_map(named).collect()
    }

    /// The places after a byte; `None` is one that no place names.
    fn step(&self, from: &[Place], byte: Option<u8>) -> Vec<Place> {
        let mut places = Vec::new();
        for &(number, at) in from {
            match self.token((number, at)) {
                Some(Token::Byte(wanted)) if Some(wanted) != byte => {}
                Some(Token::InName) if byte == Some(b'/') => {}
                Some(Token::Byte(_) | Token::One) => self.enter(&mut places, (number, at.saturating_add(1))),
                Some(Token::Many | Token::InName) => self.enter(&mut places, (number, at)),
                None => {}
            }
        }
        self.settled(places)
    }

    /// An infix settles the matter whatever follows: then no other place counts, nor which infix it was.
    fn settled(&self, places: Vec<Place>) -> Vec<Place> {
        let infix = |number: usize| self.patterns.get(number).is_some_and(|(_, p)| pattern::is_infix(p));
        if !places.iter().any(|place| infix(place.0) && self.token(*place).is_none()) {
            return places;
        }
        let first = (0..self.patterns.len()).find(|number| infix(*number)).unwrap_or(0);
        let end = self.patterns.get(first).map_or(0, |pattern| pattern.1.len());
        let mut settled = Vec::new();
        self.enter(&mut settled, (first, end.saturating_sub(1)));
        settled
    }
}
