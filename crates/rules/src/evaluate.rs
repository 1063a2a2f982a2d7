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

/// The fields of one event: each is read at most once.
pub(crate) struct Cache<'r, 's> {
    pub(crate) record: &'r dyn Record,
    fields: &'r [FieldRef],
    places: &'s mut Places,
    values: Values<'r>,
}

/// For each field the event (its generation) that it was read for, and its place among the values.
#[derive(Debug, Default)]
pub(crate) struct Places {
    of_fields: Vec<(u32, usize)>,
    generation: u32,
}

/// The values of an event.
pub(crate) type Values<'r> = Vec<Option<Value<'r>>>;

/// Forgets values and keeps the allocations; others may then live for another time.
pub(crate) fn recycle<'n>(values: Values<'_>) -> Values<'n> {
    let done = |value: Option<Value<'_>>| {
        spare::keep(value?);
        None
    };
    values.into_iter().filter_map(done).collect()
}

impl Places {
    /// Begins another event.
    fn next(&mut self, fields: usize) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 || self.of_fields.len() < fields {
            self.of_fields = vec![(0, 0); fields];
            self.generation = 1;
        }
    }
}

impl<'r, 's> Cache<'r, 's> {
    /// `values` are none, but may have room.
    pub(crate) fn new(
        record: &'r dyn Record,
        fields: &'r [FieldRef],
        places: &'s mut Places,
        values: Values<'r>,
    ) -> Self {
        places.next(fields.len());
        Self { record, fields, places, values }
    }

    pub(crate) fn into_values(self) -> Values<'r> {
        self.values
    }

    /// Reads a field from the event, unless it was before.
    pub(crate) fn read(&mut self, slot: usize) {
        self.look(slot, |_| ());
    }

    /// What there is to see in the value of a field, which is read from the event unless it was before.
    #[inline]
    pub(crate) fn look<T>(&mut self, slot: usize, see: impl FnOnce(&Value<'r>) -> T) -> Option<T> {
        let (generation, at) = *self.places.of_fields.get(slot)?;
        if generation != self.places.generation {
            return self.fetch(slot, see);
        }
        self.values.get(at)?.as_ref().map(see)
    }

    /// The value is looked at before it is kept: to move what was written just now, the processor waits until the last of
    /// it is in memory.
    fn fetch<T>(&mut self, slot: usize, see: impl FnOnce(&Value<'r>) -> T) -> Option<T> {
        let (id, arg) = self.fields.get(slot)?;
        let value = self.record.field(*id, arg.as_ref());
        let seen = value.as_ref().map(see);
        *self.places.of_fields.get_mut(slot)? = (self.places.generation, self.values.len());
        self.values.push(value);
        seen
    }

    /// The value of a field that was read.
    pub(crate) fn get(&self, slot: usize) -> Option<&Value<'r>> {
        let (generation, at) = self.places.of_fields.get(slot)?;
        let known = *generation == self.places.generation;
        self.values.get(*at).filter(|_| known)?.as_ref()
    }
}
