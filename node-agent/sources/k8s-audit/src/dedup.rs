//! Events that came before: an apiserver sends a batch again when it got no answer in time.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use saker_events::audit::AuditEvent;

/// The events accepted last, as keyed hashes of all they say. `auditID` and stage alone would not do:
/// whoever calls the apiserver may choose the id (header `Audit-ID`), and so hide one request behind another.
pub(crate) struct Seen {
    hasher: RandomState,
    capacity: usize,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { hasher: RandomState::new(), capacity, last: Mutex::default() }
    }

    /// Takes out the events that came before, also within the batch; the hashes of the others come along.
    pub(crate) fn fresh(&self, events: Vec<AuditEvent>) -> (Vec<AuditEvent>, Vec<u64>) {
        let mut hashed: Vec<_> =
            events.into_iter().map(|event| (self.hasher.hash_one(&event.json), event)).collect();
        let mut batch = HashSet::new();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.retain(|(hash, _)| !last.hashes.contains(hash) && batch.insert(*hash));
        drop(last);
        hashed.into_iter().map(|(hash, event)| (event, hash)).unzip()
    }

    /// Remembers events once they are accepted: a batch that was not must be read when it comes again.
    pub(crate) fn remember(&self, hashes: Vec<u64>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            if last.hashes.insert(hash) {
                last.order.push_back(hash);
            }
        }
        while last.order.len() > self.capacity {
            if let Some(oldest) = last.order.pop_front() {
                last.hashes.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditEvent, Seen};

    fn event(id: u32, verb: &str) -> AuditEvent {
        let json = serde_json::from_str(&format!(r#"{{"auditID":"{id}","verb":"{verb}"}}"#)).unwrap();
        AuditEvent { time: 0, json }
    }

    #[test]
    fn an_event_is_fresh_until_it_was_accepted() {
        let seen = Seen::new(10);
        let (fresh, hashes) = seen.fresh(vec![event(1, "get"), event(2, "get"), event(1, "get")]);
        assert_eq!(fresh, [event(1, "get"), event(2, "get")]);
        assert_eq!(seen.fresh(vec![event(2, "get")]).0.len(), 1, "not accepted yet");
        seen.remember(hashes);
        assert_eq!(seen.fresh(vec![event(2, "get"), event(3, "get")]).0, [event(3, "get")]);
    }

    #[test]
    fn the_same_id_hides_no_other_event() {
        let seen = Seen::new(10);
        seen.remember(seen.fresh(vec![event(1, "get")]).1);
        assert_eq!(seen.fresh(vec![event(1, "delete")]).0.len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let seen = Seen::new(2);
        seen.remember(seen.fresh((1..=3).map(|id| event(id, "get")).collect()).1);
        assert_eq!(seen.fresh((1..=3).map(|id| event(id, "get")).collect()).0, [event(1, "get")]);
        assert_eq!(seen.last.lock().unwrap().order.len(), 2);
    }
}
