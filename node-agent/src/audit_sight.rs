//! What the audit events that come let the rules see: kinds of requests, with the level at which they came.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use saker_audit_setup::{Blind, Demands, RequestKind, policy::Level};
use saker_source_k8s_audit::{AuditEvent, Json};

/// Kinds of requests that are told apart; custom resources could be without number.
const MAX_KINDS: usize = 1024;

/// Kinds of requests that came, and what the rules in force need of them.
#[derive(Default)]
pub struct Sight {
    seen: Mutex<Seen>,
    /// Events whose level was lower than that of a rule about such requests.
    lacking: AtomicU64,
}

#[derive(Default)]
struct Seen {
    demands: Arc<Demands>,
    kinds: HashMap<RequestKind, Kind>,
}

#[derive(Clone, Copy)]
struct Kind {
    came: Level,
    needs: Level,
}

impl Sight {
    /// Other rules are in force.
    pub fn set(&self, demands: Demands) {
        let mut seen = self.seen();
        for (kind, known) in &mut seen.kinds {
            known.needs = demands.level(kind);
        }
        seen.demands = Arc::new(demands);
    }

    /// Notes an event. Only the last of a request carries all that the policy allows.
    pub fn note(&self, event: &AuditEvent) {
        let text = |path: &[&str]| event.json.at(path).and_then(Json::as_str).unwrap_or_default();
        let Some(level) = level(text(&["level"])).filter(|_| text(&["stage"]) == "ResponseComplete") else {
            return;
        };
        let of_object = |key| text(&["objectRef", key]).to_owned();
        let kind = RequestKind {
            verb: text(&["verb"]).to_owned(),
            group: of_object("apiGroup"),
            resource: of_object("resource"),
            subresource: of_object("subresource"),
        };
        let lacks = self.seen().note(kind, level);
        self.lacking.fetch_add(u64::from(lacks), Relaxed);
    }

    /// Events that came at a lower level than a rule needs.
    pub fn lacking(&self) -> u64 {
        self.lacking.load(Relaxed)
    }

    /// Rules that no event since the start could make match.
    pub fn blind(&self) -> Vec<Blind> {
        let seen = self.seen();
        let came: BTreeMap<_, _> =
            seen.kinds.iter().map(|(kind, known)| (kind.clone(), known.came)).collect();
        let demands = Arc::clone(&seen.demands);
        drop(seen);
        demands.blind(&came)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// True if a rule lacks something of it.
    fn note(&mut self, kind: RequestKind, level: Level) -> bool {
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.came = known.came.max(level);
            return level < known.needs;
        }
        if self.kinds.len() >= MAX_KINDS {
            return false;
        }
        let needs = self.demands.level(&kind);
        self.kinds.insert(kind, Kind { came: level, needs });
        level < needs
    }
}

fn level(text: &str) -> Option<Level> {
    match text {
        "Metadata" => Some(Level::Metadata),
        "Request" => Some(Level::Request),
        "RequestResponse" => Some(Level::RequestResponse),
        _ => None,
    }
}
