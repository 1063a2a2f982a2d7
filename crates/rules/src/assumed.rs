//! What follows for conditions from the type of an event, and from comparisons that were made before.

use rustc_hash::FxHashMap;

use crate::{
    evaluate::{Against, Atom},
    program::{Program, Step},
    schema::{EventTypeId, Schema},
    transform::Read,
};

/// What is known of an event.
pub(crate) struct Assumed<'p> {
    program: &'p Program,
    ty: Option<(&'p Schema, EventTypeId)>,
    /// Comparisons with their results.
    compared: Vec<(usize, bool)>,
    results: FxHashMap<usize, Option<bool>>,
    /// Of combinations with `or` the member that alone may still hold.
    alone: FxHashMap<usize, Option<usize>>,
}

impl<'p> Assumed<'p> {
    /// An event of a type; `None` stands for any.
    pub(crate) fn new(program: &'p Program, ty: Option<(&'p Schema, EventTypeId)>) -> Self {
        Self { program, ty, compared: Vec::new(), results: FxHashMap::default(), alone: FxHashMap::default() }
    }

    /// The same, and what a comparison gave.
    pub(crate) fn with(&self, node: usize, holds: bool) -> Self {
        let compared = [self.compared.as_slice(), &[(node, holds)]].concat();
        Self { compared, results: FxHashMap::default(), alone: FxHashMap::default(), ..*self }
    }

    /// How many comparisons were made.
    pub(crate) fn comparisons(&self) -> usize {
        self.compared.len()
    }

    /// Collects what has still to hold; `false` if the condition is ruled out.
    pub(crate) fn needs(&mut self, node: usize, needs: &mut Vec<usize>) -> bool {
        if let Some(holds) = self.of(node) {
            return holds;
        }
        let program = self.program;
        if let Some(Step::And(members)) = program.step(node) {
            return members.iter().all(|member| self.needs(*member, needs));
        }
        if let Some(Step::Or(members)) = program.step(node)
            && let Some(only) = self.alone(node, members)
        {
            return self.needs(only, needs);
        }
        needs.push(node);
        true
    }

    /// The one of these members that may still hold; `None` if more may.
    fn alone(&mut self, node: usize, members: &[usize]) -> Option<usize> {
        if let Some(known) = self.alone.get(&node) {
            return *known;
        }
        let mut possible = members.iter().filter(|member| self.of(**member) != Some(false));
        let alone = match (possible.next(), possible.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        };
        self.alone.insert(node, alone);
        alone
    }

    /// The result, if what is known decides it.
    fn of(&mut self, node: usize) -> Option<bool> {
        let program = self.program;
        if self.compared.is_empty() && !program.is_typed(node) {
            return None;
        }
        if let Some(known) = self.results.get(&node) {
            return *known;
        }
        let result = match program.step(node)? {
            Step::And(members) => self.all(members, true),
            Step::Or(members) => self.all(members, false),
            Step::Not(inner) => self.of(*inner).map(|holds| !holds),
            Step::Atom(atom) => self.of_atom(node, atom),
        };
        self.results.insert(node, result);
        result
    }

    /// `wanted` if all members give it; the opposite if one does.
    fn all(&mut self, members: &[usize], wanted: bool) -> Option<bool> {
        let mut all = Some(wanted);
        for member in members {
            match self.of(*member) {
                Some(holds) if holds != wanted => return Some(!wanted),
                Some(_) => {}
                None => all = None,
            }
        }
        all
    }

    fn of_atom(&self, node: usize, atom: &Atom) -> Option<bool> {
        let compared = self.compared.iter().find(|(compared, _)| *compared == node);
        compared.map(|(_, holds)| *holds).or_else(|| {
            let (schema, ty) = self.ty?;
            let by_type = atom.types.as_ref().map(|types| types.contains(ty));
            by_type.or_else(|| self.is_absent(atom, schema, ty).then_some(false))
        })
    }

    /// Whether the comparison is of a parameter that events of this type do not have.
    fn is_absent(&self, atom: &Atom, schema: &Schema, ty: EventTypeId) -> bool {
        let (Read::Field(slot), Against::Test(_)) = (&atom.left, &atom.right) else { return false };
        self.program.parameter(*slot).is_some_and(|name| !schema.has_parameter(ty, name))
    }
}
