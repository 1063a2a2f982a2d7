//! What look-ups came to, counted from the start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) asked: AtomicU64,
    pub(crate) found: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) missing: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// A look at the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Containers looked up.
    pub asked: u64,
    /// Containers of which a runtime told.
    pub found: u64,
    /// Of those, told after alerts had stopped waiting.
    pub late: u64,
    /// Containers of which nobody told within a minute: no runtime knows them, or none answers.
    pub missing: u64,
    /// Containers not looked up, or given up early, because too many were on their way.
    pub refused: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        let get = |count: &AtomicU64| count.load(Relaxed);
        Counts {
            asked: get(&self.asked),
            found: get(&self.found),
            late: get(&self.late),
            missing: get(&self.missing),
            refused: get(&self.refused),
        }
    }
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
