//! What the process table keeps, and what its bounds cost.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use prometheus::proto::MetricType;
use saker_engine::{SyscallEngine, process_table::Counters};
use serde::Serialize;

use crate::metrics::family::{Extra, Spec};

const KNOWN: Spec = ("saker_processes", "Processes known, living and ended", MetricType::GAUGE);
const TABLE: Spec = (
    "saker_process_table_total",
    "Processes forgotten (ended) or evicted (living and quiet for longest) to make room, events by unknown processes, \
     ends that were never reported",
    MetricType::COUNTER,
);

/// Shared by the status, the metrics and the syscall source.
#[derive(Debug, Default)]
pub struct State(Mutex<Report>);

/// The part of `/status` about processes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    known: u64,
    /// What the table's bounds did, and what it missed.
    table: BTreeMap<&'static str, u64>,
}

impl State {
    /// Takes over what the engine counted.
    pub fn note(&self, engine: &SyscallEngine) {
        let Counters { forgotten, evicted, unknown, missed_exits } = engine.counters();
        let table = BTreeMap::from([
            ("forgotten", forgotten),
            ("evicted", evicted),
            ("unknown", unknown),
            ("missed_exits", missed_exits),
        ]);
        let known = u64::try_from(engine.processes()).unwrap_or(u64::MAX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Report { known, table };
    }

    /// For `/status`.
    pub fn report(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> Extra {
        let Report { known, table } = self.report();
        let label = |what: &str| vec![("what".to_owned(), what.to_owned())];
        let counters = table.into_iter().map(|(what, count)| (TABLE, label(what), count));
        std::iter::once((KNOWN, Vec::new(), known)).chain(counters).collect()
    }
}
