//! The fields of one event: each is read at most once.

use crate::{
    schema::{FieldRef, Record},
    spare,
    value::Value,
};

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
