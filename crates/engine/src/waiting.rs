//! Events whose rules ask for metadata that is on its way: kept as they were, evaluated when it comes or when
//! its time is over. Other containers' events pass by; those of one container keep their order.

use std::{collections::VecDeque, sync::Arc};

use saker_events::{
    OwnedEvent,
    container::Container,
    descriptor::FdType,
    process::{Process, Processes, Standard, Threads},
    record::Header,
};

use crate::links::Followed;

/// Nanoseconds that an event waits at most.
const PATIENCE: u64 = 500_000_000;
/// Events that wait at one time; a further one sends the oldest of its container on its way, or goes itself.
const CAPACITY: usize = 4096;
/// Bytes of events that wait at one time.
const MAX_BYTES: usize = 16 << 20;

/// What became of events that waited, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Events that had to wait.
    pub waited: u64,
    /// Evaluated without metadata because it did not come in time.
    pub late: u64,
    /// Evaluated without metadata because too many were waiting.
    pub crowded: u64,
}

/// An event and the state around it at its time.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) event: OwnedEvent,
    pub(crate) header: Header,
    /// Where its paths led, if elsewhere.
    pub(crate) followed: Option<Followed>,
    /// The process and its parents.
    pub(crate) lineage: Vec<Process>,
}

impl Held {
    /// Bytes of its parameters.
    fn len(&self) -> usize {
        let followed = self.followed.as_ref().map_or(0, |(event, _)| event.len());
        self.event.len().saturating_add(followed)
    }
}

/// The events of one container.
#[derive(Debug)]
struct Queue {
    container: Arc<Container>,
    events: VecDeque<Held>,
}

/// All events that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    queues: Vec<Queue>,
    events: usize,
    bytes: usize,
    counters: Counters,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether events of this container wait.
    pub(crate) fn has(&self, container: &Arc<Container>) -> bool {
        self.queues.iter().any(|queue| Arc::ptr_eq(&queue.container, container))
    }

    /// Keeps an event. If there is no room, gives back the event of this container that is to be evaluated now.
    pub(crate) fn hold(&mut self, container: &Arc<Container>, held: Held) -> Option<Held> {
        self.counters.waited = self.counters.waited.saturating_add(1);
        let full = self.events >= CAPACITY || self.bytes.saturating_add(held.len()) > MAX_BYTES;
        if full && !self.has(container) {
            self.counters.crowded = self.counters.crowded.saturating_add(1);
            return Some(held);
        }
        self.bytes = self.bytes.saturating_add(held.len());
        self.events = self.events.saturating_add(1);
        let at = self.queue(container);
        let queue = self.queues.get_mut(at)?;
        queue.events.push_back(held);
        self.counters.crowded = self.counters.crowded.saturating_add(u64::from(full));
        if full { self.take(at) } else { None }
    }

    /// Position of the container's queue.
    fn queue(&mut self, container: &Arc<Container>) -> usize {
        let known = self.queues.iter().position(|queue| Arc::ptr_eq(&queue.container, container));
        known.unwrap_or_else(|| {
            self.queues.push(Queue { container: Arc::clone(container), events: VecDeque::new() });
            self.queues.len().saturating_sub(1)
        })
    }

    /// The next event that has waited long enough at this time.
    pub(crate) fn ready(&mut self, now: u64) -> Option<Held> {
        let at = self.queues.iter().position(|queue| queue.is_ready(now))?;
        let late = self.queues.get(at).is_some_and(|queue| queue.container.metadata().is_none());
        self.counters.late = self.counters.late.saturating_add(u64::from(late));
        self.take(at)
    }

    /// The first event of a queue; an empty queue goes away.
    fn take(&mut self, at: usize) -> Option<Held> {
        let queue = self.queues.get_mut(at)?;
        let held = queue.events.pop_front()?;
        if queue.events.is_empty() {
            self.queues.swap_remove(at);
        }
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(held.len());
        Some(held)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }
}

impl Queue {
    fn is_ready(&self, now: u64) -> bool {
        let over = |held: &Held| now >= held.header.ts.saturating_add(PATIENCE);
        !self.container.is_pending() || self.events.front().is_none_or(over)
    }
}

/// Processes as they were when an event happened; those that it does not name are as they are now.
#[derive(Debug)]
pub(crate) struct Then<'a> {
    pub(crate) lineage: &'a [Process],
    pub(crate) now: &'a dyn Processes,
}

impl Processes for Then<'_> {
    fn at(&self, pid: u32, time: u64) -> Option<&Process> {
        let kept = self.lineage.iter().find(|p| p.key.pid == pid && p.key.start <= time);
        kept.or_else(|| self.now.at(pid, time))
    }

    fn threads(&self, process: &Process) -> Option<Threads> {
        self.now.threads(process)
    }

    fn descriptors(&self, process: &Process) -> Option<usize> {
        self.now.descriptors(process)
    }

    fn descriptor_types(&self, process: &Process) -> Option<Vec<FdType>> {
        self.now.descriptor_types(process)
    }

    fn standard(&self, process: &Process, number: i64) -> Option<Standard<'_>> {
        self.now.standard(process, number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saker_events::{
        Event,
        container::{Engine, Metadata},
        write,
    };

    use super::*;

    const TS: u64 = 1_700_000_000_000_000_000;

    fn container(pending: bool) -> Arc<Container> {
        let container = Arc::new(Container::new("a".repeat(64), Engine::Docker));
        container.set_pending(pending);
        container
    }

    fn held(num: u64, ts: u64) -> Held {
        let bytes = write::event(ts, 9, 2, &[vec![0; 8]]);
        let header = Header { num, ts, ..Header::default() };
        let event = Event::parse(&bytes).unwrap().to_owned();
        Held { event, header, followed: None, lineage: Vec::new() }
    }

    fn all_ready(waiting: &mut Waiting, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| waiting.ready(now)).map(|held| held.header.num).collect()
    }

    #[test]
    fn metadata_or_time_sets_events_free_in_their_order() {
        let (one, two) = (container(true), container(true));
        let mut waiting = Waiting::default();
        for num in 0..4 {
            let container = if num % 2 == 0 { &one } else { &two };
            assert!(waiting.hold(container, held(num, TS + num)).is_none());
        }
        assert!(all_ready(&mut waiting, TS + 10).is_empty());
        one.set_metadata(Metadata::default());
        assert_eq!(all_ready(&mut waiting, TS + 10), [0, 2]);
        assert!(!waiting.has(&one) && waiting.has(&two));
        assert_eq!(all_ready(&mut waiting, TS + 2 + PATIENCE), [1]);
        assert_eq!(all_ready(&mut waiting, TS + 3 + PATIENCE), [3]);
        assert_eq!(waiting.counters(), Counters { waited: 4, late: 2, crowded: 0 });
        assert_eq!((waiting.events, waiting.bytes), (0, 0));
    }

    #[test]
    fn a_crowd_pushes_the_oldest_out() {
        let (one, two) = (container(true), container(true));
        let mut waiting = Waiting::default();
        let pushed: Vec<_> = (0..=4096).filter_map(|num| waiting.hold(&one, held(num, TS))).collect();
        assert_eq!(pushed.iter().map(|held| held.header.num).collect::<Vec<_>>(), [0]);
        assert_eq!(waiting.hold(&two, held(9999, TS)).unwrap().header.num, 9999);
        assert_eq!(waiting.counters(), Counters { waited: 4098, late: 0, crowded: 2 });
    }

    proptest! {
        #[test]
        fn no_event_is_lost_or_doubled(steps in prop::collection::vec((0..3_usize, any::<bool>()), 1..200)) {
            let containers = [container(true), container(true), container(true)];
            let (mut waiting, mut out) = (Waiting::default(), Vec::new());
            for (num, (at, known)) in (0..).zip(&steps) {
                out.extend(waiting.hold(&containers[*at], held(num, TS + num)).map(|held| held.header.num));
                containers[*at].set_pending(!known);
                out.extend(all_ready(&mut waiting, TS + num));
            }
            out.extend(all_ready(&mut waiting, u64::MAX));
            for at in 0..3 {
                let of_one = |nums: &mut dyn Iterator<Item = u64>| nums.filter(|n| steps[usize::try_from(*n).unwrap()].0 == at).collect::<Vec<_>>();
                prop_assert_eq!(of_one(&mut out.iter().copied()), of_one(&mut (0..steps.len() as u64)));
            }
        }
    }
}
