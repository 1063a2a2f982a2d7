//! Evaluation: the fields of one event, and the comparisons over them (specification §3.1).

use crate::{
    ast::Op,
    check::FieldRef,
    event_types::EventTypeSet,
    ops::{self, Combine, Test},
    schema::Record,
    spare,
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
    pub(crate) fn holds(&self, cache: &mut Cache<'_>) -> bool {
        // Most comparisons are of a field with a constant.
        if let (Read::Field(slot), Against::Test(test)) = (&self.left, &self.right) {
            return cache.read(*slot).is_some_and(|left| test.holds(left, self.combine));
        }
        self.holds_transformed(cache)
    }

    fn holds_transformed(&self, cache: &mut Cache<'_>) -> bool {
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

/// The fields of one event: each is read at most once.
pub(crate) struct Cache<'r> {
    pub(crate) record: &'r dyn Record,
    fields: &'r [FieldRef],
    memory: Memory<'r>,
}

/// Where the values of an event are kept; reused from event to event.
#[derive(Debug, Default)]
pub(crate) struct Memory<'r> {
    /// For each field the event (its generation) that it was read for, and its place in `values`.
    places: Vec<(u32, usize)>,
    values: Vec<Option<Value<'r>>>,
    generation: u32,
}

impl Memory<'_> {
    /// Forgets the values and keeps the allocations; the values may then live for another time.
    pub(crate) fn recycle<'n>(mut self) -> Memory<'n> {
        self.values.drain(..).flatten().for_each(spare::keep);
        let values = self.values.into_iter().map_while(|_| None).collect();
        Memory { places: self.places, values, generation: self.generation }
    }
}

impl<'r> Cache<'r> {
    pub(crate) fn new(record: &'r dyn Record, fields: &'r [FieldRef], mut memory: Memory<'r>) -> Self {
        memory.values.clear();
        memory.generation = memory.generation.wrapping_add(1);
        if memory.generation == 0 || memory.places.len() < fields.len() {
            memory.places = vec![(0, 0); fields.len()];
            memory.generation = 1;
        }
        Self { record, fields, memory }
    }

    pub(crate) fn into_memory(self) -> Memory<'r> {
        self.memory
    }

    /// The value of a field, which is read from the event unless it was before.
    #[inline]
    pub(crate) fn read(&mut self, slot: usize) -> Option<&Value<'r>> {
        let (generation, at) = *self.memory.places.get(slot)?;
        let at = if generation == self.memory.generation { at } else { self.fetch(slot)? };
        self.memory.values.get(at)?.as_ref()
    }

    #[inline(never)]
    fn fetch(&mut self, slot: usize) -> Option<usize> {
        let (id, arg) = self.fields.get(slot)?;
        let at = self.memory.values.len();
        *self.memory.places.get_mut(slot)? = (self.memory.generation, at);
        self.memory.values.push(self.record.field(*id, arg.as_ref()));
        Some(at)
    }

    /// The value of a field that was read.
    pub(crate) fn get(&self, slot: usize) -> Option<&Value<'r>> {
        let (generation, at) = self.memory.places.get(slot)?;
        let known = *generation == self.memory.generation;
        self.memory.values.get(*at).filter(|_| known)?.as_ref()
    }
}
