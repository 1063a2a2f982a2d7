//! Drains the two rings in the order of time.
//!
//! The rare ring is emptied first, into memory, so that it never fills up behind a flood in the bulk ring. A
//! record is delivered once nothing older can come: whatever caused it was in its ring before it.

use std::{
    collections::VecDeque,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::AsRawFd,
    sync::Arc,
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
/// Pauses of [`NAP`] without any record before the consumer really sleeps, in a burst: who makes records then need not
/// wake it for each.
const NAPS: u32 = 4;
const NAP: Duration = Duration::from_millis(1);
/// Records come in bursts if a sleep ends so soon: it was not worth it, because to wake the consumer takes the time of the
/// process that is watched.
const SOON: Duration = Duration::from_millis(1);

pub(crate) struct Rings {
    rare: Rare,
    bulk: RingBuf<MapData>,
    /// Tells the probe to wake us.
    sleeper: Array<MapData, u32>,
    /// What others than the probe wake us by.
    woken: PipeReader,
    waker: Waker,
    idle: u32,
    /// Whether the last sleep ended soon.
    woken_soon: bool,
}

/// Ends the sleep of a thread that runs the probe, so that it looks at once whether it is to stop.
#[derive(Debug, Clone)]
pub struct Waker(Arc<PipeWriter>);

impl Waker {
    /// Does so, or ends the next sleep if it does not sleep now.
    pub fn wake(&self) {
        // An error says that the probe is gone.
        let _ = (&*self.0).write(&[0]);
    }
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
    pub(crate) fn new(
        rare: RingBuf<MapData>,
        bulk: RingBuf<MapData>,
        sleeper: Array<MapData, u32>,
    ) -> io::Result<Self> {
        let rare = Rare { ring: rare, waiting: VecDeque::new(), bytes: 0 };
        let (woken, waker) = io::pipe()?;
        let waker = Waker(Arc::new(waker));
        Ok(Self { rare, bulk, sleeper, woken, waker, idle: 0, woken_soon: false })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Delivers what is there, up to a batch. Returns whether there was anything.
    pub(crate) fn drain(&mut self, delivery: &mut Delivery, on: &mut dyn FnMut(Item<'_>)) -> bool {
        for round in 0..BATCH {
            if !drain_next(&mut self.rare, &mut self.bulk, delivery, on) {
                return round > 0;
            }
        }
        true
    }

    /// Waits for records: shortly at first, because they come in bursts, then until the probe or somebody else wakes us,
    /// but no longer than `most`.
    pub(crate) fn rest(&mut self, worked: bool, most: Duration) {
        if worked {
            self.idle = 0;
        } else if self.woken_soon && self.idle < NAPS {
            self.idle = self.idle.saturating_add(1);
            thread::sleep(NAP);
        } else {
            self.sleep(most);
        }
    }

    fn sleep(&mut self, most: Duration) {
        if let Err(error) = self.sleeper.set(0, 1, 0) {
            tracing::error!(%error, "cannot ask the probe for a wake-up");
        }
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let start = Instant::now();
        let woken = poll(self.woken.as_raw_fd());
        let mut fds = [woken, poll(self.rare.ring.as_raw_fd()), poll(self.bulk.as_raw_fd())];
        // A millisecond more: who wakes up too early has nothing to do yet.
        let most = i32::try_from(most.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
        #[expect(unsafe_code, reason = "poll on the rings' descriptors")]
        // SAFETY: `fds` is an array of three descriptors that live as long as the rings.
        unsafe {
            libc::poll(fds.as_mut_ptr(), 3, most)
        };
        self.woken_soon = start.elapsed() < SOON;
        let [woken, ..] = fds;
        if woken.revents & libc::POLLIN != 0 {
            self.forget_wake();
        }
    }

    /// However often we were woken.
    fn forget_wake(&mut self) {
        if let Err(error) = self.woken.read(&mut [0; 64]) {
            tracing::error!(%error, "cannot read who wakes the consumer");
        }
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
