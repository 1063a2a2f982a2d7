//! Threads by their ids. Most look-ups are for the thread that was looked up before, so that one is remembered.

use std::cell::Cell;

use rustc_hash::FxHashMap;

use super::Thread;

/// The threads, each in a place of its own.
#[derive(Debug, Default)]
pub(super) struct Threads {
    places: FxHashMap<i64, usize>,
    kept: Vec<Option<Box<Thread>>>,
    /// Places without a thread.
    free: Vec<usize>,
    /// The id that was looked up last, and its place.
    last: Cell<Option<(i64, usize)>>,
}

impl Threads {
    fn place(&self, tid: i64) -> Option<usize> {
        match self.last.get() {
            Some((known, place)) if known == tid => Some(place),
            _ => {
                let place = *self.places.get(&tid)?;
                self.last.set(Some((tid, place)));
                Some(place)
            }
        }
    }

    pub(super) fn contains_key(&self, tid: i64) -> bool {
        self.place(tid).is_some()
    }

    pub(super) fn get(&self, tid: i64) -> Option<&Thread> {
        self.kept.get(self.place(tid)?)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, tid: i64) -> Option<&mut Thread> {
        let place = self.place(tid)?;
        self.kept.get_mut(place)?.as_deref_mut()
    }

    /// Adds a thread or replaces it.
    pub(super) fn insert(&mut self, tid: i64, thread: Box<Thread>) {
        let place = self.place(tid).or_else(|| self.free.pop());
        let place = place.unwrap_or_else(|| {
            self.kept.push(None);
            self.kept.len().saturating_sub(1)
        });
        self.places.insert(tid, place);
        if let Some(slot) = self.kept.get_mut(place) {
            *slot = Some(thread);
        }
        self.last.set(Some((tid, place)));
    }

    pub(super) fn remove(&mut self, tid: i64) -> Option<Box<Thread>> {
        self.last.set(None);
        let place = self.places.remove(&tid)?;
        self.free.push(place);
        self.kept.get_mut(place)?.take()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.places.keys().copied()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Thread> {
        self.kept.iter().flatten().map(AsRef::as_ref)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Thread> {
        self.kept.iter_mut().flatten().map(AsMut::as_mut)
    }
}
