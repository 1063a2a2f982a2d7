//! Follows the audit log file of an apiserver: through rotation and truncation, across restarts, by whole lines.

mod open;
mod place;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use saker_events::audit::{AuditEvent, Decoded, Limits, Reason, Rejection, decode};

use crate::{
    counters::{Counters, Kind, add},
    receive::Intake,
};
use open::{Open, Text};
use place::Place;

/// Time between two looks at a file that was read to its end.
const POLL: Duration = Duration::from_millis(250);
/// Time before another attempt at what failed.
const RETRY: Duration = Duration::from_secs(1);

/// The file to follow.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// The file that the apiserver writes (`--audit-log-path`).
    pub path: PathBuf,
    /// Where to keep what has been read.
    pub saved: PathBuf,
    /// Where to begin if nothing was kept.
    pub start: Start,
}

/// Where to begin in a log file that was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is written from now on.
    End,
    /// With all that it holds.
    Beginning,
}

/// Follows `log` on the calling thread until `stop` is true. Every event goes to `take`, which waits until it is
/// evaluated, at least once; what was read is kept afterwards.
pub fn follow(
    log: LogFile,
    counters: &Arc<Counters>,
    stop: &AtomicBool,
    take: impl FnMut(Vec<AuditEvent>) -> Intake,
) {
    let saved = Place::load(&log.saved);
    let mut follower = Follower { log, saved, open: None, counters, stop, take };
    while !stop.load(Relaxed) {
        let pause = match follower.step() {
            Ok(true) => continue,
            Ok(false) => POLL,
            Err(error) => {
                follower.failed(&error);
                RETRY
            }
        };
        thread::sleep(pause);
    }
}

struct Follower<'c, T> {
    log: LogFile,
    saved: Option<Place>,
    open: Option<Open>,
    counters: &'c Arc<Counters>,
    stop: &'c AtomicBool,
    take: T,
}

impl<T: FnMut(Vec<AuditEvent>) -> Intake> Follower<'_, T> {
    /// Reads some more. False if there was nothing.
    fn step(&mut self) -> io::Result<bool> {
        let Some(mut open) = self.open.take() else {
            self.open = Some(self.begin()?);
            return self.keep();
        };
        if let Some(other) = open.after_cut(&self.log.path)? {
            self.open = Some(other);
            return self.keep();
        }
        let (taken, next) = match open.read()? {
            Text::Lines(lines) => (self.hand_on(&lines), None),
            Text::TooLong(bytes) => (self.too_long(bytes), None),
            Text::Nothing => {
                let Some(next) = open.next(&self.log.path)? else {
                    self.open = Some(open);
                    return Ok(false);
                };
                (self.hand_on(&open.rest()), Some(next))
            }
        };
        self.open = Some(next.unwrap_or(open));
        if taken { self.keep() } else { Ok(false) }
    }

    /// Opens the file where it was left, or where it was told to begin.
    fn begin(&mut self) -> io::Result<Open> {
        if let Some(open) = self.saved.as_ref().and_then(|place| Open::resume(&self.log.path, place)) {
            return Ok(open);
        }
        let first = self.saved.is_none() && self.log.start == Start::End;
        // A file that appears later was not there at the start, so that all of it is new.
        self.log.start = Start::Beginning;
        if first { Open::at_end(&self.log.path) } else { Open::at_start(&self.log.path) }
    }

    /// Has the lines evaluated; waits as long as too much is waiting. False if it was stopped meanwhile.
    fn hand_on(&mut self, lines: &[u8]) -> bool {
        if lines.trim_ascii().is_empty() {
            return true;
        }
        let limits = Limits { items: usize::MAX, ..Limits::default() };
        loop {
            let Decoded { events, rejected, .. } = decode(lines, &limits);
            let kinds: Vec<Kind> = events.iter().map(Kind::of).collect();
            if events.is_empty() || (self.take)(events) == Intake::Accepted {
                self.counters.accepted(&kinds);
                self.rejected(&rejected);
                return true;
            }
            if self.stop.load(Relaxed) {
                return false;
            }
            thread::sleep(RETRY);
        }
    }

    fn rejected(&self, rejected: &[Rejection]) {
        self.counters.rejected(rejected);
        if let Some(first) = rejected.first() {
            let (file, count) = (self.log.path.display(), rejected.len());
            tracing::warn!("{file}: {count} lines are left out, the first because of {first}");
        }
    }

    fn too_long(&self, bytes: usize) -> bool {
        let limit = Limits::default().event_bytes;
        self.rejected(&[Rejection { item: 1, reason: Reason::TooLarge { bytes, limit } }]);
        true
    }

    /// Keeps how far the file was read.
    fn keep(&mut self) -> io::Result<bool> {
        if let Some(open) = &mut self.open {
            let place = open.place()?;
            self.counters.log.offset.store(place.offset, Relaxed);
            place.save(&self.log.saved)?;
            self.saved = Some(place);
        }
        self.counters.log.failed(None);
        Ok(true)
    }

    fn failed(&mut self, error: &io::Error) {
        // Missing at the start it may come later, and then all of it is new.
        self.log.start = Start::Beginning;
        add(Some(&self.counters.log.errors), 1);
        let text = format!("cannot follow {}: {error}", self.log.path.display());
        if self.counters.log.failed(Some(&text)) {
            tracing::error!("{text}; it is tried again every {RETRY:?}");
        }
    }
}
