//! What conditions gave that depend on the process alone: a process opens many files before it changes, and then
//! half of each condition is known.

use crate::schema::ProcessState;

/// Processes remembered at one time; a power of two.
const PLACES: u64 = 16;

/// Results of one program for some processes.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The program that they are of.
    program: u64,
    places: Vec<Place>,
}

#[derive(Debug, Default)]
struct Place {
    state: Option<ProcessState>,
    /// By the number of the node; `None` if it was not evaluated yet.
    results: Vec<Option<bool>>,
}

impl Remembered {
    /// The place of a process; it forgets what it knew of another, or of this one before it changed.
    pub(crate) fn place(&mut self, program: u64, nodes: usize, state: ProcessState) -> usize {
        if self.program != program {
            self.program = program;
            self.places.clear();
        }
        let ProcessState { who, version, changes } = state;
        let mixed = who.wrapping_mul(31).wrapping_add(version).wrapping_mul(31).wrapping_add(changes);
        let at = usize::try_from(mixed % PLACES).unwrap_or(0);
        if at >= self.places.len() {
            self.places.resize_with(at.saturating_add(1), Place::default);
        }
        if let Some(place) = self.places.get_mut(at).filter(|place| place.state != Some(state)) {
            place.state = Some(state);
            place.results.clear();
            place.results.resize(nodes, None);
        }
        at
    }

    pub(crate) fn get(&self, place: usize, node: usize) -> Option<bool> {
        *self.places.get(place)?.results.get(node)?
    }

    pub(crate) fn set(&mut self, place: usize, node: usize, result: bool) {
        let results = self.places.get_mut(place).and_then(|place| place.results.get_mut(node));
        results.into_iter().for_each(|known| *known = Some(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_all_unknown() {
        let mut remembered = Remembered::default();
        let before = ProcessState { who: 7, version: 1, changes: 1 };
        let place = remembered.place(1, 3, before);
        remembered.set(place, 2, true);
        assert_eq!(remembered.place(1, 3, before), place);
        assert_eq!([0, 2, 3].map(|node| remembered.get(place, node)), [None, Some(true), None]);
        for after in [
            ProcessState { version: 2, ..before },
            ProcessState { changes: 2, ..before },
            ProcessState { who: 7 + 16, ..before },
        ] {
            let place = remembered.place(1, 3, after);
            assert_eq!(remembered.get(place, 2), None);
        }
        let place = remembered.place(2, 3, before);
        assert_eq!(remembered.get(place, 2), None, "another program");
    }
}
