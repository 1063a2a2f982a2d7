//! Drains the two rings in the order of time.
//!
//! The rare ring is emptied first, into memory, so that it never fills up behind a flood in the bulk ring. A
//! record is delivered once nothing older can come: whatever caused it was in its ring before it.

use std::{
    collections::VecDeque,
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use aya::maps::{Array, MapData, RingBuf};

use crate::{
    delivery::{Delivery, Item},
    record,
};

/// Bytes of rare records that may wait for older bulk records.
const WAITING_BYTES: usize = 16 << 20;
/// Records between two looks at the clock.
const BATCH: usize = 1024;
/// Pauses of [`NAP`] without any record before the consumer really sleeps, after a burst: who makes records then need not
/// wake it for each.
const NAPS: u32 = 4;
/// Records since the last sleep that are a burst.
const BURST: u32 = 32;
/// A sleep that ends so soon was not worth it: to wake the consumer takes the time of the process that is watched.
const SOON: Duration = Duration::from_millis(1);
const NAP: Duration = Duration::from_millis(1);
/// The longest sleep, in milliseconds; also how late a stop may be noticed.
const SLEEP: i32 = 100;

pub(crate) struct Rings {
    rare: Rare,
    bulk: RingBuf<MapData>,
    /// Tells the probe to wake us.
    sleeper: Array<MapData, u32>,
    idle: u32,
    /// Rounds with records since the last sleep.
    records: u32,
    /// Whether the last sleep ended soon.
    woken_soon: bool,
}

struct Rare {
    ring: RingBuf<MapData>,
    waiting: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Rare {
    fn fill(&mut self) {
        while self.bytes < WAITING_BYTES {
            let Some(item) = self.ring.next() else { break };
            self.bytes = self.bytes.saturating_add(item.len());
            self.waiting.push_back(Box::from(&*item));
        }
    }

    fn pop(&mut self) -> Option<Box<[u8]>> {
        let record = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(record.len());
        Some(record)
    }

    /// The next record if it is older than `time`, or if too many wait.
    fn pop_before(&mut self, time: u64) -> Option<Box<[u8]>> {
        let older = self.waiting.front().is_some_and(|record| record::time(record) <= time);
        if older || self.bytes >= WAITING_BYTES { self.pop() } else { None }
    }
}

impl Rings {
    pub(crate) fn new(rare: RingBuf<MapData>, bulk: RingBuf<MapData>, sleeper: Array<MapData, u32>) -> Self {
        let rare = Rare { ring: rare, waiting: VecDeque::new(), bytes: 0 };
        Self { rare, bulk, sleeper, idle: 0, records: 0, woken_soon: false }
    }

    /// Delivers what is there, up to a batch. Returns whether there was anything.
    pub(crate) fn drain(&mut self, delivery: &mut Delivery, on: &mut dyn FnMut(Item<'_>)) -> bool {
        for round in 0..BATCH {
            if !drain_next(&mut self.rare, &mut self.bulk, delivery, on) {
                return round > 0;
            }
            self.records = self.records.saturating_add(1);
        }
        true
    }

    /// Waits for records: shortly at first, because they come in bursts, then until the probe wakes us.
    pub(crate) fn rest(&mut self, worked: bool) {
        if worked {
            self.idle = 0;
        } else if (self.records >= BURST || self.woken_soon) && self.idle < NAPS {
            self.idle = self.idle.saturating_add(1);
            thread::sleep(NAP);
        } else {
            self.records = 0;
            self.sleep();
        }
    }

    fn sleep(&mut self) {
        if let Err(error) = self.sleeper.set(0, 1, 0) {
            tracing::error!(%error, "cannot ask the probe for a wake-up");
        }
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let start = Instant::now();
        let mut fds = [poll(self.rare.ring.as_raw_fd()), poll(self.bulk.as_raw_fd())];
        #[expect(unsafe_code, reason = "poll on the rings' descriptors")]
        // SAFETY: `fds` is an array of two descriptors that live as long as the rings.
        unsafe {
            libc::poll(fds.as_mut_ptr(), 2, SLEEP)
        };
        self.woken_soon = start.elapsed() < SOON;
    }
}

/// Delivers the next bulk record and the rare ones before it. Returns false when both rings are empty.
fn drain_next(
    rare: &mut Rare,
    bulk: &mut RingBuf<MapData>,
    delivery: &mut Delivery,
    on: &mut dyn FnMut(Item<'_>),
) -> bool {
    let seen = rare.waiting.len();
    let item = bulk.next();
    // Only now: what caused `item` is then in the rare ring.
    rare.fill();
    if let Some(item) = &item {
        while let Some(record) = rare.pop_before(record::time(item)) {
            delivery.deliver(&record, on);
        }
        delivery.deliver(item, on);
        return true;
    }
    // Those that waited before the bulk ring was found empty have no older bulk record left.
    for _ in 0..seen {
        if let Some(record) = rare.pop() {
            delivery.deliver(&record, on);
        }
    }
    !rare.waiting.is_empty()
}
