//! What must be found in a field for a condition to hold: texts that it equals, begins with or contains.

use crate::{
    ast::Modifier,
    evaluate::{Against, Atom},
    lookup::Kind,
    ops::{Combine, Test},
    program::{Program, Step},
    transform::Read,
};

/// Texts of one gate at most; a longer list is one look-up of its own.
const MAX_KEYS: usize = 32;

/// Nodes of one condition that are searched for a gate at most.
const MAX_NODES: usize = 256;

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
