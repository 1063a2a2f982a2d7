//! From a record's bytes to an item for the agent.

use std::{cell::Cell, time::Duration};

use saker_events::Event;

use crate::{
    clock::{self, Clock},
    counters::Counters,
    halves::{Halves, Joined},
    liveness::{Heard, Liveness},
    record::{Lane, Record},
    sequence::Sequences,
};

/// What the source hands over.
#[derive(Debug)]
pub enum Item<'a> {
    /// Something happened.
    Event(&'a Event<'a>),
    /// Something happened that the filter says no rule matches; only under [`crate::FilterMode::Mark`].
    Rejected(&'a Event<'a>),
    /// Records of this CPU and lane were lost.
    Gap {
        /// The CPU they happened on.
        cpu: u16,
        /// The ring that was full.
        lane: Lane,
        /// How many.
        lost: u64,
    },
    /// A hook fell silent, or speaks again.
    Heard(Heard),
    /// Nothing is pending; a good moment for housekeeping. The next one comes after this time if nothing happens, which
    /// may be made shorter.
    Idle(&'a Cell<Duration>),
}

/// Counts, stamps and checks the records on their way.
#[derive(Debug)]
pub(crate) struct Delivery {
    num: u64,
    clock: Clock,
    sequences: Sequences,
    liveness: Liveness,
    halves: Halves,
}

impl Delivery {
    pub(crate) fn new() -> Self {
        Self {
            num: 0,
            clock: Clock::sample(),
            sequences: Sequences::default(),
            liveness: Liveness::default(),
            halves: Halves::default(),
        }
    }

    /// Hands over one record, after the gap before it.
    pub(crate) fn deliver(&mut self, bytes: &[u8], on: &mut dyn FnMut(Item<'_>)) {
        let record = match Record::parse(bytes) {
            Ok(record) => record,
            Err(error) => return tracing::error!(%error, "the probe sent a malformed record"),
        };
        let Record { prefix, .. } = record;
        if prefix.marker {
            return self.liveness.heard(record.event.code);
        }
        let lost = self.sequences.observe(prefix.cpu, prefix.lane, prefix.seq);
        if lost > 0 {
            on(Item::Gap { cpu: prefix.cpu, lane: prefix.lane, lost });
        }
        if let Some(half) = prefix.half {
            let joined = self.halves.take(&record, half);
            return joined.iter().for_each(|joined| self.deliver_joined(joined, on));
        }
        let event = self.stamp(record);
        on(if prefix.rejected { Item::Rejected(&event) } else { Item::Event(&event) });
    }

    fn deliver_joined(&mut self, joined: &Joined, on: &mut dyn FnMut(Item<'_>)) {
        let bytes = joined.bytes();
        if let Some(event) = joined.event(&bytes) {
            let ts = self.clock.epoch(event.ts);
            on(Item::Event(&self.number(event, ts)));
        }
    }

    /// Gives the event its number and the time since the epoch.
    pub(crate) fn stamp<'a>(&mut self, record: Record<'a>) -> Event<'a> {
        let ts = self.clock.epoch(record.event.ts);
        self.number(record.event, ts)
    }

    /// Gives the event its number and the present time.
    pub(crate) fn stamp_now<'a>(&mut self, event: Event<'a>) -> Event<'a> {
        let ts = self.clock.epoch(clock::since_boot());
        self.number(event, ts)
    }

    fn number<'a>(&mut self, mut event: Event<'a>, ts: u64) -> Event<'a> {
        self.num = self.num.saturating_add(1);
        event.num = self.num;
        event.ts = ts;
        event
    }

    /// Once a second: follows the wall clock, hands over losses that no later record has shown, and hooks that
    /// fell silent.
    pub(crate) fn tick(&mut self, counters: &Counters, sys_exit: bool, on: &mut dyn FnMut(Item<'_>)) {
        self.clock = Clock::sample();
        for joined in self.halves.tick() {
            self.deliver_joined(&joined, on);
        }
        for heard in self.liveness.tick(counters.total(|row| row.ring_full), sys_exit) {
            on(Item::Heard(heard));
        }
        for row in &counters.cpus {
            for lane in Lane::ALL {
                let lost = self.sequences.reconcile(row.cpu, lane, row.dropped(lane));
                if lost > 0 {
                    on(Item::Gap { cpu: row.cpu, lane, lost });
                }
            }
        }
    }
}
