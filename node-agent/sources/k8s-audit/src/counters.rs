//! What the source counts; the agent exports it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use saker_events::audit::{AuditEvent, Json, Reason, Rejection};

use crate::error::Refusal;

/// How a request may end, in the order of [`Counters::requests`].
pub const OUTCOMES: [&str; 11] = [
    "accepted",
    "wrong_method",
    "unauthorized",
    "wrong_encoding",
    "not_gzip",
    "too_large",
    "timed_out",
    "broken_off",
    "no_event",
    "overloaded",
    "failed",
];

/// Audit levels that send events, in the order of [`Counters::events`]; the last stands for all others.
pub const LEVELS: [&str; 4] = ["Metadata", "Request", "RequestResponse", "other"];

/// Audit stages, in the order of [`Counters::events`]; the last stands for all others.
pub const STAGES: [&str; 5] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic", "other"];

/// Everything is counted from the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    /// The log file that is followed.
    pub log: LogCounters,
    /// Requests by how they ended, see [`OUTCOMES`].
    pub requests: [AtomicU64; OUTCOMES.len()],
    /// Bytes of bodies read.
    pub bytes: AtomicU64,
    /// Items refused, by [`Reason::NAMES`].
    pub rejected: [AtomicU64; Reason::NAMES.len()],
    /// Events accepted, by [`LEVELS`] and [`STAGES`].
    pub events: [[AtomicU64; STAGES.len()]; LEVELS.len()],
    /// Events of these that the apiserver had shortened.
    pub truncated: AtomicU64,
    /// Events that had come before.
    pub duplicates: AtomicU64,
    /// Time of the latest event accepted, nanoseconds since the Unix epoch; 0 before the first.
    pub last_event: AtomicU64,
    /// Connections that were idle or still sending, closed to make room for new ones.
    pub evicted: AtomicU64,
    /// TLS handshakes that failed.
    pub handshakes_failed: AtomicU64,
    /// Connections closed because a request's head did not come in time.
    pub heads_timed_out: AtomicU64,
}

/// What is known of the log file that is followed.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Bytes read of the file that is open.
    pub offset: AtomicU64,
    /// Attempts that failed.
    pub errors: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl LogCounters {
    /// Why the file cannot be read, if so.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a problem or the end of it; true if it is another one than before.
    pub(crate) fn failed(&self, problem: Option<&str>) -> bool {
        let mut now = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = now.as_deref() != problem;
        if changed {
            *now = problem.map(str::to_owned);
        }
        changed
    }
}

impl Counters {
    pub(crate) fn request(&self, refusal: Option<&Refusal>) {
        let outcome = refusal.map_or("accepted", Refusal::outcome);
        let outcome = OUTCOMES.iter().position(|name| *name == outcome).unwrap_or(OUTCOMES.len());
        add(self.requests.get(outcome), 1);
    }

    pub(crate) fn rejected(&self, rejected: &[Rejection]) {
        for rejection in rejected {
            add(self.rejected.get(rejection.reason.index()), 1);
        }
    }

    pub(crate) fn accepted(&self, events: &[Kind]) {
        for event in events {
            add(self.events.get(event.level).and_then(|stages| stages.get(event.stage)), 1);
            add(Some(&self.truncated), u64::from(event.truncated));
            self.last_event.fetch_max(event.time, Relaxed);
        }
    }
}

pub(crate) fn add(counter: Option<&AtomicU64>, by: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(by, Relaxed);
    }
}

/// What is counted of an event, taken before it is handed on.
pub(crate) struct Kind {
    level: usize,
    stage: usize,
    truncated: bool,
    time: u64,
}

impl Kind {
    pub(crate) fn of(event: &AuditEvent) -> Self {
        let text = |key| event.json.get(key).and_then(Json::as_str).unwrap_or_default();
        Self {
            level: place(&LEVELS, text("level")),
            stage: place(&STAGES, text("stage")),
            truncated: event.json.at(&["annotations", "audit.k8s.io/truncated"]).is_some(),
            time: event.time,
        }
    }
}

fn place(names: &[&str], name: &str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or(names.len().saturating_sub(1))
}
