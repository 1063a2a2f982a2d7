//! What becomes of one source of events, and how much of it there was.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::Serialize;

/// One source of events.
#[derive(Default)]
pub struct Source {
    state: Mutex<SourceState>,
    events: AtomicU64,
    lost: AtomicU64,
    filtered: AtomicU64,
    filter_faults: AtomicU64,
}

/// Whether a source works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum SourceState {
    /// It is not wanted.
    #[default]
    Off,
    /// It works.
    Running,
    /// It is wanted and does not work.
    Failed(String),
}

/// A source in `/status`.
#[derive(Debug, Serialize)]
pub struct SourceReport {
    #[serde(flatten)]
    state: SourceState,
    events: u64,
    lost: u64,
}

impl Source {
    /// What became of it.
    pub fn set(&self, state: SourceState) {
        *self.lock() = state;
    }

    /// Whether it works.
    pub fn state(&self) -> SourceState {
        self.lock().clone()
    }

    /// Counts events.
    pub fn add_events(&self, count: u64) {
        self.events.fetch_add(count, Relaxed);
    }

    /// Counts losses.
    pub fn add_lost(&self, count: u64) {
        self.lost.fetch_add(count, Relaxed);
    }

    /// Tells how many events the filter in the kernel left out, or marked, since the start.
    pub fn set_filtered(&self, count: u64) {
        self.filtered.store(count, Relaxed);
    }

    /// Events that the filter in the kernel left out, or marked, since the start.
    pub fn filtered(&self) -> u64 {
        self.filtered.load(Relaxed)
    }

    /// Counts alerts that the filter would have cost.
    pub fn add_filter_faults(&self, count: u64) {
        self.filter_faults.fetch_add(count, Relaxed);
    }

    /// Alerts that the filter would have cost, since the start.
    pub fn filter_faults(&self) -> u64 {
        self.filter_faults.load(Relaxed)
    }

    /// Events since the start.
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Losses since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// For `/status`.
    pub fn report(&self) -> SourceReport {
        SourceReport { state: self.state(), events: self.events(), lost: self.lost() }
    }

    fn lock(&self) -> MutexGuard<'_, SourceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
