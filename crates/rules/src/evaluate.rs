//! Evaluation: comparisons over the fields of one event (specification §3.1).

use crate::{
    ast::Op,
    cache::Cache,
    event_types::EventTypeSet,
    ops::{self, Combine, Test},
    transform::Read,
    value::Value,
};

/// One comparison, compiled. Absent fields make it false.
#[derive(Debug, Clone)]
pub(crate) struct Atom {
    pub(crate) left: Read,
    pub(crate) combine: Combine,
    pub(crate) right: Against,
    /// The fields of both sides.
    pub(crate) slots: Vec<usize>,
    /// The event types on which it holds, if they decide it.
    pub(crate) types: Option<Box<EventTypeSet>>,
}

/// What the left side is compared with.
#[derive(Debug, Clone)]
pub(crate) enum Against {
    Test(Test),
    Side(Op, Box<Read>),
}

impl Atom {
    pub(crate) fn new(left: Read, combine: Combine, right: Against) -> Self {
        let mut atom = Self { left, combine, right, slots: Vec::new(), types: None };
        let mut slots = Vec::new();
        atom.renumber(&mut |slot| slots.push(*slot));
        atom.slots = slots;
        atom
    }

    /// Calls `visit` for every field of both sides.
    fn renumber(&mut self, visit: &mut impl FnMut(&mut usize)) {
        self.left.for_each_slot(visit);
        if let Against::Side(_, right) = &mut self.right {
            right.for_each_slot(visit);
        }
    }

    /// The same comparison over another numbering of the fields.
    pub(crate) fn moved(&self, slots: &[usize]) -> Self {
        let mut atom = self.clone();
        let to = |slot: &mut usize| *slot = slots.get(*slot).copied().unwrap_or(usize::MAX);
        atom.renumber(&mut |slot| to(slot));
        atom.slots.iter_mut().for_each(to);
        atom
    }

    /// What its evaluation takes, in comparisons of a number.
    pub(crate) fn cost(&self) -> usize {
        let read = match (&self.left, self.combine) {
            (Read::Field(_), Combine::List) => 8,
            (Read::Field(_), _) => 0,
            _ => 8,
        };
        let right = match &self.right {
            Against::Test(test) => test.cost(),
            Against::Side(..) => 8,
        };
        right.saturating_add(read)
    }

    /// How often it holds by experience, percent.
    pub(crate) fn chance(&self) -> usize {
        match &self.right {
            Against::Test(test) => test.chance(),
            Against::Side(..) => 50,
        }
    }

    #[inline]
    pub(crate) fn holds(&self, cache: &mut Cache<'_, '_>) -> bool {
        // Most comparisons are of a field with a constant.
        if let (Read::Field(slot), Against::Test(test)) = (&self.left, &self.right) {
            return cache.look(*slot, |left| test.holds(left, self.combine)).unwrap_or(false);
        }
        self.holds_transformed(cache)
    }

    fn holds_transformed(&self, cache: &mut Cache<'_, '_>) -> bool {
        for slot in &self.slots {
            cache.read(*slot);
        }
        let cache = &*cache;
        let Some(left) = self.left.get(cache) else { return false };
        if matches!(left.as_ref(), Value::List(values) if values.is_empty()) {
            return false;
        }
        match &self.right {
            Against::Test(test) => test.holds(&left, self.combine),
            Against::Side(op, right) => right.get(cache).is_some_and(|r| ops::compare(*op, &left, &r)),
        }
    }
}
