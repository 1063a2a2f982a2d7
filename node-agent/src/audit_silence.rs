//! An alert when the audit source falls silent.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use saker_engine::internal::Silence;
use tokio::time::{MissedTickBehavior, interval};

use crate::{source::SourceState, status::Status};

/// Has an alert made each time that no audit event came for so many seconds; 0 is never.
pub fn watch(seconds: u32, status: &Arc<Status>) {
    if seconds == 0 || status.k8s_audit.state() == SourceState::Off {
        return;
    }
    let (status, limit) = (Arc::clone(status), Duration::from_secs(seconds.into()));
    tokio::spawn(async move {
        let mut ticks = interval((limit / 10).clamp(Duration::from_millis(100), Duration::from_secs(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::new(limit, Instant::now());
        loop {
            ticks.tick().await;
            if watch.falls_silent(status.k8s_audit.events(), Instant::now()) {
                tracing::warn!("no audit event for {seconds} s");
                status.alerts.send(silence(limit, &status).alert());
            }
        }
    });
}

fn silence(limit: Duration, status: &Status) -> Silence<'_> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Silence {
        time: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        hostname: &status.hostname,
        source: "k8s_audit",
        seconds: limit.as_secs(),
        last_event: status.audit.last_event.load(Relaxed),
    }
}

/// Notices when a count stands still.
struct Watch {
    limit: Duration,
    count: u64,
    since: Instant,
    silent: bool,
}

impl Watch {
    const fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, count: 0, since: now, silent: false }
    }

    /// True once for each silence.
    fn falls_silent(&mut self, count: u64, now: Instant) -> bool {
        if count != self.count {
            *self = Self { count, ..Self::new(self.limit, now) };
        }
        let silent = now.saturating_duration_since(self.since) >= self.limit;
        silent && !std::mem::replace(&mut self.silent, silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_silence_is_told_once() {
        let start = Instant::now();
        let mut watch = Watch::new(Duration::from_secs(10), start);
        let told: Vec<bool> = [(0, 5), (0, 10), (0, 20), (3, 30), (3, 39), (3, 40), (3, 60)]
            .into_iter()
            .map(|(count, second)| watch.falls_silent(count, start + Duration::from_secs(second)))
            .collect();
        assert_eq!(told, [false, true, false, false, false, true, false]);
    }
}
