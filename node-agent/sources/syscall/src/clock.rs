//! Turns the probe's time since boot into time since the epoch.

use std::time::{SystemTime, UNIX_EPOCH};

/// The distance between the two clocks; sampled again every second because the wall clock may be set.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch_of_boot: i128,
}

impl Clock {
    pub(crate) fn sample() -> Self {
        Self::of(SystemTime::now(), since_boot())
    }

    /// What both clocks show at one moment.
    fn of(wall: SystemTime, since_boot: u64) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let wall = i128::try_from(wall).unwrap_or(i128::MAX);
        Self { epoch_of_boot: wall.saturating_sub(i128::from(since_boot)) }
    }

    /// Nanoseconds since the epoch of a moment given in nanoseconds since boot.
    pub(crate) fn epoch(&self, since_boot: u64) -> u64 {
        u64::try_from(self.epoch_of_boot.saturating_add(i128::from(since_boot))).unwrap_or(0)
    }
}

/// When the machine started, nanoseconds since the epoch, by the wall clock of now.
pub fn boot_time() -> u64 {
    Clock::sample().epoch(0)
}

/// Nanoseconds since boot, including sleep.
#[expect(unsafe_code, reason = "the standard library does not offer this clock")]
pub(crate) fn since_boot() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_moves_all_times_alike() {
        let second = 1_000_000_000;
        let noon = UNIX_EPOCH + Duration::from_hours(12);
        let clock = |wall| Clock::of(wall, 7 * second);
        assert_eq!(clock(noon).epoch(7 * second), 43_200 * second);
        for step in [1, 3600] {
            let step = Duration::from_secs(step);
            let (back, ahead) = (clock(noon - step), clock(noon + step));
            assert_eq!(ahead.epoch(8 * second) - back.epoch(8 * second), 2 * step.as_secs() * second);
            assert!(back.epoch(8 * second) < back.epoch(9 * second), "events keep their order");
        }
        assert_eq!(clock(UNIX_EPOCH - Duration::from_secs(9)).epoch(0), 0, "a clock before 1970 shows none");
    }
}
