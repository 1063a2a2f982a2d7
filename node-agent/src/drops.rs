//! Lost events are told: `syscall_event_drops` (specification §12). What the rate keeps back is added
//! to the next report, so the sum of all reports is the sum of all losses.

use std::time::{Duration, Instant};

use saker_alert::Alert;
use saker_engine::internal;

use crate::config::{DropAction, SyscallEventDrops};

/// How often losses are looked at.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// Adds up losses and decides when they are told.
pub struct Drops {
    config: SyscallEventDrops,
    untold: Lost,
    tokens: f64,
    checked: Instant,
    /// The threshold was exceeded and nothing told since.
    due: bool,
    /// Losses untold and events read at the last look.
    seen: (u64, u64),
}

/// Losses by lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Forks, execs and exits.
    pub rare: u64,
    /// All other events.
    pub bulk: u64,
}

impl Lost {
    /// Of both lanes.
    pub const fn total(self) -> u64 {
        self.rare.saturating_add(self.bulk)
    }

    /// With what else was lost.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { rare: self.rare.saturating_add(other.rare), bulk: self.bulk.saturating_add(other.bulk) }
    }
}

/// What is to be told, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lost since the last report.
    pub lost: Lost,
    /// Events read since the start.
    pub events: u64,
    /// What to do about it.
    pub actions: Vec<DropAction>,
}

impl Drops {
    /// With nothing lost yet.
    pub fn new(config: SyscallEventDrops, now: Instant) -> Self {
        let tokens = f64::from(config.max_burst);
        Self { config, untold: Lost::default(), tokens, checked: now, due: false, seen: (0, 0) }
    }

    /// Takes note of a loss.
    pub fn add(&mut self, lost: Lost) {
        self.untold = self.untold.plus(lost);
    }

    /// Looks at the losses since the last look; `events` were read since the start.
    pub fn check(&mut self, now: Instant, events: u64) -> Option<Report> {
        let elapsed = now.saturating_duration_since(self.checked).as_secs_f64();
        self.tokens = elapsed.mul_add(self.config.rate, self.tokens).min(f64::from(self.config.max_burst));
        let fresh = (self.untold.total().saturating_sub(self.seen.0), events.saturating_sub(self.seen.1));
        self.checked = now;
        self.seen = (self.untold.total(), events);
        self.due |= self.exceeds(fresh.0, fresh.1);
        if !self.due || self.tokens < 1.0 {
            return None;
        }
        self.due = false;
        self.tokens -= 1.0;
        self.seen.0 = 0;
        let lost = std::mem::take(&mut self.untold);
        Some(Report { lost, events, actions: self.config.actions.clone() })
    }

    /// The look at the end: what the rate kept back is told now or never.
    pub fn finish(&mut self, now: Instant, events: u64) -> Option<Report> {
        self.tokens = f64::from(self.config.max_burst);
        self.check(now, events)
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio of counts below 2^53")]
    fn exceeds(&self, lost: u64, events: u64) -> bool {
        let all = lost.saturating_add(events);
        lost > 0 && lost as f64 / all as f64 > self.config.threshold
    }
}

impl Report {
    /// The alert that tells it.
    pub fn alert(&self, time: u64, hostname: &str) -> Alert {
        let lost = &[("rare", self.lost.rare), ("bulk", self.lost.bulk)];
        internal::Drops { time, hostname, lost }.alert()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drops(threshold: f64, rate: f64, max_burst: u32) -> (Drops, Instant) {
        let now = Instant::now();
        (
            Drops::new(SyscallEventDrops { threshold, rate, max_burst, ..SyscallEventDrops::default() }, now),
            now,
        )
    }

    fn bulk(bulk: u64) -> Lost {
        Lost { rare: 0, bulk }
    }

    #[test]
    fn a_gap_is_told_at_the_next_look() {
        let (mut drops, now) = drops(0.0, 1.0, 1);
        assert_eq!(drops.check(now + INTERVAL, 100), None);
        drops.add(Lost { rare: 1, bulk: 2 });
        let report = drops.check(now + INTERVAL * 2, 200).unwrap();
        assert_eq!((report.lost, report.events), (Lost { rare: 1, bulk: 2 }, 200));
        let alert = report.alert(7, "node-1");
        let message = r#"Falco internal: syscall event drop (n_drops="3" n_drops_bulk="2" n_drops_rare="1")"#;
        assert_eq!((alert.message.as_str(), alert.source.as_str()), (message, "internal"));
        assert_eq!(drops.check(now + INTERVAL * 3, 200), None);
    }

    #[test]
    fn the_threshold_is_a_part_of_the_events() {
        let (mut drops, now) = drops(0.1, 1.0, 1);
        drops.add(bulk(10));
        assert_eq!(drops.check(now, 90), None, "a tenth is not more than a tenth");
        assert_eq!(drops.check(now, 180), None);
        drops.add(bulk(20));
        assert_eq!(drops.check(now, 270).unwrap().lost, bulk(30));
    }

    #[test]
    fn what_the_rate_keeps_back_is_told_later() {
        let (mut drops, now) = drops(0.0, 1.0, 1);
        drops.add(bulk(1));
        assert_eq!(drops.check(now, 1).unwrap().lost, bulk(1));
        drops.add(bulk(2));
        assert_eq!(drops.check(now + INTERVAL, 1), None);
        assert_eq!(drops.check(now + INTERVAL * 2, 1).unwrap().lost, bulk(2));
        drops.add(bulk(3));
        assert_eq!(drops.check(now + INTERVAL * 2, 1), None);
        assert_eq!(drops.finish(now + INTERVAL * 2, 1).unwrap().lost, bulk(3));
    }

    proptest! {
        #[test]
        fn no_loss_is_forgotten(losses in proptest::collection::vec(0u64..1000, 1..50), rate in 0.1f64..5.0) {
            let (mut drops, mut now) = drops(0.0, rate, 1);
            let mut told = 0;
            for lost in &losses {
                drops.add(bulk(*lost));
                now += INTERVAL;
                told += drops.check(now, 0).map_or(0, |r| r.lost.total());
            }
            now += Duration::from_mins(1);
            told += drops.check(now, 0).map_or(0, |r| r.lost.total());
            prop_assert_eq!(told, losses.iter().sum::<u64>());
        }
    }
}
