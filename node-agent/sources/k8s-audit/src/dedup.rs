//! Events that came before: an apiserver sends a batch again when it got no answer in time.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    events: HashMap<u64, State>,
    /// The accepted ones, in this order.
    order: VecDeque<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Another request has it in hand; whether it will be accepted is open.
    Claimed,
    Accepted,
}

/// Another request has the same event in hand: the sender is to come again, when its fate is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InHand;

impl Seen {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { hasher: RandomState::new(), capacity, last: Mutex::default() })
    }

    /// Takes out the events that came before, also within the batch, and claims the others.
    pub(crate) fn claim(
        self: &Arc<Self>,
        events: Vec<AuditEvent>,
    ) -> Result<(Vec<AuditEvent>, Claim), InHand> {
        let hashed: Vec<_> =
            events.into_iter().map(|event| (self.hasher.hash_one(&event.json), event)).collect();
        let mut last = self.lock();
        if hashed.iter().any(|(hash, _)| last.events.get(hash) == Some(&State::Claimed)) {
            return Err(InHand);
        }
        let fresh = hashed.into_iter().filter(|(hash, _)| last.claim(*hash));
        let (hashes, events) = fresh.unzip();
        drop(last);
        Ok((events, Claim { seen: Arc::clone(self), hashes }))
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    /// False if it is there already.
    fn claim(&mut self, hash: u64) -> bool {
        let fresh = !self.events.contains_key(&hash);
        self.events.entry(hash).or_insert(State::Claimed);
        fresh
    }
}

/// Events in hand. Dropped without being accepted they are forgotten, and read when they come again.
pub(crate) struct Claim {
    seen: Arc<Seen>,
    hashes: Vec<u64>,
}

impl Claim {
    /// The events will be evaluated.
    pub(crate) fn accept(mut self) {
        let mut last = self.seen.lock();
        for hash in std::mem::take(&mut self.hashes) {
            last.events.insert(hash, State::Accepted);
            last.order.push_back(hash);
        }
        while last.order.len() > self.seen.capacity {
            if let Some(oldest) = last.order.pop_front() {
                last.events.remove(&oldest);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.hashes.is_empty() {
            let mut last = self.seen.lock();
            for hash in &self.hashes {
                last.events.remove(hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditEvent, Claim, InHand, Seen};

    fn event(id: u32, verb: &str) -> AuditEvent {
        let json = serde_json::from_str(&format!(r#"{{"auditID":"{id}","verb":"{verb}"}}"#)).unwrap();
        AuditEvent { time: 0, json }
    }

    fn accept((events, claim): (Vec<AuditEvent>, Claim)) -> Vec<AuditEvent> {
        claim.accept();
        events
    }

    fn fresh(seen: &std::sync::Arc<Seen>, events: Vec<AuditEvent>) -> Vec<AuditEvent> {
        accept(seen.claim(events).unwrap_or_else(|InHand| panic!("in hand")))
    }

    #[test]
    fn an_event_is_fresh_until_it_was_accepted() {
        let seen = Seen::new(10);
        let (events, claim) =
            seen.claim(vec![event(1, "get"), event(2, "get"), event(1, "get")]).ok().unwrap();
        assert_eq!(events, [event(1, "get"), event(2, "get")]);
        assert_eq!(seen.claim(vec![event(2, "get"), event(3, "get")]).err(), Some(InHand));
        drop(claim);
        assert_eq!(fresh(&seen, vec![event(2, "get")]).len(), 1, "it was not accepted");
        assert_eq!(fresh(&seen, vec![event(2, "get"), event(3, "get")]), [event(3, "get")]);
    }

    #[test]
    fn the_same_id_hides_no_other_event() {
        let seen = Seen::new(10);
        fresh(&seen, vec![event(1, "get")]);
        assert_eq!(fresh(&seen, vec![event(1, "delete")]).len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let seen = Seen::new(2);
        fresh(&seen, (1..=3).map(|id| event(id, "get")).collect());
        assert_eq!(fresh(&seen, (1..=3).map(|id| event(id, "get")).collect()), [event(1, "get")]);
        let last = seen.lock();
        assert_eq!((last.order.len(), last.events.len()), (2, 2));
    }
}
