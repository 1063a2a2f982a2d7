//! The containers of this machine: one value for all processes of a container, looked up when it is first seen.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use saker_events::container::{Container, Lookup};

/// Containers kept; those without a process go first.
const CAPACITY: usize = 4096;

/// What the bound of the table did, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Containers kept now.
    pub known: u64,
    /// Containers without a process, forgotten to make room.
    pub forgotten: u64,
    /// Containers not kept and not looked up, because the table was full of living ones.
    pub refused: u64,
}

/// The table, by whole id.
#[derive(Debug)]
pub(crate) struct Containers {
    by_id: FxHashMap<String, Arc<Container>>,
    lookup: Option<Arc<dyn Lookup>>,
    forgotten: u64,
    refused: u64,
}

impl Containers {
    /// An empty table; without a `lookup` a container is what its cgroups tell.
    pub(crate) fn new(lookup: Option<Arc<dyn Lookup>>) -> Self {
        Self { by_id: FxHashMap::default(), lookup, forgotten: 0, refused: 0 }
    }

    /// The container that cgroups name.
    pub(crate) fn of(&mut self, cgroups: &[u8]) -> Option<Arc<Container>> {
        let container = Container::of(cgroups)?;
        if let Some(known) = self.by_id.get(&container.full_id) {
            return Some(Arc::clone(known));
        }
        let container = Arc::new(container);
        if self.make_room() {
            self.by_id.insert(container.full_id.clone(), Arc::clone(&container));
            self.lookup.iter().for_each(|lookup| lookup.look_up(&container));
        }
        Some(container)
    }

    fn make_room(&mut self) -> bool {
        let before = self.by_id.len();
        if before >= CAPACITY {
            self.by_id.retain(|_, container| Arc::strong_count(container) > 1);
            let gone = before.saturating_sub(self.by_id.len());
            self.forgotten = self.forgotten.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        }
        let room = self.by_id.len() < CAPACITY;
        self.refused = self.refused.saturating_add(u64::from(!room));
        room
    }

    pub(crate) fn counters(&self) -> Counters {
        let known = u64::try_from(self.by_id.len()).unwrap_or(u64::MAX);
        Counters { known, forgotten: self.forgotten, refused: self.refused }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Lookup for Counting {
        fn look_up(&self, _: &Arc<Container>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn cgroups(number: usize) -> Vec<u8> {
        format!("memory=/docker/{number:064x}\0").into_bytes()
    }

    #[test]
    fn a_container_is_looked_up_once() {
        let lookup = Arc::new(Counting::default());
        let mut containers = Containers::new(Some(lookup.clone()));
        let (one, again) = (containers.of(&cgroups(1)).unwrap(), containers.of(&cgroups(1)).unwrap());
        assert!(Arc::ptr_eq(&one, &again));
        assert!(containers.of(b"memory=/\0").is_none());
        assert_eq!(lookup.0.load(Relaxed), 1);
    }

    #[test]
    fn a_full_table_forgets_containers_without_a_process() {
        let lookup = Arc::new(Counting::default());
        let mut containers = Containers::new(Some(lookup.clone()));
        let alive: Vec<_> = (0..CAPACITY - 1).map(|n| containers.of(&cgroups(n)).unwrap()).collect();
        containers.of(&cgroups(CAPACITY));
        let last = containers.of(&cgroups(CAPACITY + 1));
        assert_eq!(containers.counters(), Counters { known: 4096, forgotten: 1, refused: 0 });
        assert!(containers.of(&cgroups(CAPACITY + 2)).is_some(), "its id is told all the same");
        assert_eq!(containers.counters().refused, 1);
        assert_eq!(lookup.0.load(Relaxed), CAPACITY + 1);
        drop((alive, last));
    }
}
