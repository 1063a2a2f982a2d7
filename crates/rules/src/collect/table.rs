//! Objects of one kind by name. A file's owner has names of its own, which hide everybody's.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{place::Place, source_file::SourceFile};

/// An object with its place in the order.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// When it was first defined.
    pub(crate) index: usize,
    /// When it was last changed.
    pub(crate) visibility: usize,
    /// As it is, behind what it was at the end of each earlier file that changed it. The earlier ones
    /// are kept only where a broken file must not take down what a good one defined.
    pub(crate) versions: Vec<T>,
    /// The file of the last version.
    file: Arc<SourceFile>,
}

impl<T> Entry<T> {
    /// As the last file left it.
    pub(crate) fn current(&self) -> Option<&T> {
        self.versions.last()
    }
}

/// Positions by name, for everybody and for each owner.
#[derive(Debug, Default)]
pub(crate) struct Names(FxHashMap<Option<String>, FxHashMap<String, usize>>);

impl Names {
    pub(crate) fn insert(&mut self, owner: Option<&str>, name: &str, at: usize) {
        self.0.entry(owner.map(str::to_owned)).or_default().insert(name.to_owned(), at);
    }

    /// What the owner itself calls so.
    pub(crate) fn own(&self, owner: Option<&str>, name: &str) -> Option<usize> {
        // The key is a whole text: what everybody sees, which is nearly all, needs no copy.
        let names = match owner {
            None => self.0.get(&None),
            Some(owner) => self.0.get(&Some(owner.to_owned())),
        };
        names?.get(name).copied()
    }

    /// What the owner means by a name: its own, or everybody's.
    pub(crate) fn visible(&self, owner: Option<&str>, name: &str) -> Option<usize> {
        let own = owner.and_then(|_| self.own(owner, name));
        own.or_else(|| self.own(None, name))
    }

    /// The names that the owner may use, sorted.
    pub(crate) fn all(&self, owner: Option<&str>) -> Vec<&str> {
        let of =
            |owner: Option<&str>| self.0.get(&owner.map(str::to_owned)).into_iter().flat_map(FxHashMap::keys);
        let mut names: Vec<_> = of(None).chain(of(owner)).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Objects of one kind, found by name, in the order of their definition.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    names: Names,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), names: Names::default() }
    }
}

impl<T: Clone> Table<T> {
    pub(crate) fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }

    /// What the owner means by a name.
    pub(crate) fn entry(&self, owner: Option<&str>, name: &str) -> Option<&Entry<T>> {
        self.entries.get(self.names.visible(owner, name)?)
    }

    /// What the owner means by a name, as it is.
    pub(crate) fn visible(&self, owner: Option<&str>, name: &str) -> Option<&T> {
        self.entry(owner, name)?.current()
    }

    /// What the owner itself calls so.
    pub(crate) fn get(&self, owner: Option<&str>, name: &str) -> Option<&T> {
        self.entries.get(self.names.own(owner, name)?)?.current()
    }

    /// The names that the owner may use, sorted.
    pub(crate) fn names(&self, owner: Option<&str>) -> Vec<&str> {
        self.names.all(owner)
    }

    /// Puts an object in the place of an earlier one of its owner and name, which is given back.
    pub(super) fn define(&mut self, name: &str, object: T, clock: &mut Clock, place: &Place) -> Option<T> {
        let now = clock.tick();
        if let Some(at) = self.names.own(place.owner(), name) {
            let previous = self.version(at, clock, place)?;
            return Some(std::mem::replace(previous, object));
        }
        self.names.insert(place.owner(), name, self.entries.len());
        let file = Arc::clone(place.source());
        self.entries.push(Entry { index: now, visibility: now, versions: vec![object], file });
        None
    }

    /// The current version of what the owner means by a name, to be changed by an item at `place`.
    pub(super) fn change(&mut self, name: &str, clock: &Clock, place: &Place) -> Option<&mut T> {
        let at = self.names.visible(place.owner(), name)?;
        self.version(at, clock, place)
    }

    fn version(&mut self, at: usize, clock: &Clock, place: &Place) -> Option<&mut T> {
        let entry = self.entries.get_mut(at)?;
        if clock.keep_versions && !Arc::ptr_eq(&entry.file, place.source()) {
            let current = entry.versions.last()?.clone();
            entry.versions.push(current);
            entry.file = Arc::clone(place.source());
        }
        entry.visibility = clock.now;
        entry.versions.last_mut()
    }
}

/// Numbers every change.
#[derive(Debug)]
pub(super) struct Clock {
    now: usize,
    keep_versions: bool,
}

impl Clock {
    pub(super) fn new(keep_versions: bool) -> Self {
        Self { now: 0, keep_versions }
    }

    pub(super) fn tick(&mut self) -> usize {
        self.now = self.now.saturating_add(1);
        self.now
    }
}
