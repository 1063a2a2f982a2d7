//! Finds lost records: by holes in the sequence numbers, and by the probe's own counters when no later
//! record shows the hole.

use crate::record::Lane;

/// What is known of one lane of one CPU.
#[derive(Debug, Clone, Copy, Default)]
struct Track {
    last: u64,
    /// Records missing between those that came.
    missing: u64,
    /// Records the probe says it could not send.
    dropped: u64,
    reported: u64,
}

impl Track {
    /// Records lost and not yet reported. A loss shows in both counts, first in one, then in the other.
    fn due(&mut self) -> u64 {
        let lost = self.missing.max(self.dropped);
        let due = lost.saturating_sub(self.reported);
        self.reported = lost;
        due
    }
}

/// The lanes of all CPUs.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    tracks: Vec<[Track; Lane::ALL.len()]>,
}

impl Sequences {
    fn track(&mut self, cpu: u16, lane: Lane) -> Option<&mut Track> {
        let cpu = usize::from(cpu);
        if self.tracks.len() <= cpu {
            self.tracks.resize(cpu.saturating_add(1), Default::default());
        }
        self.tracks.get_mut(cpu)?.get_mut(lane as usize)
    }

    /// A record came. Returns how many are newly known to be lost.
    pub(crate) fn observe(&mut self, cpu: u16, lane: Lane, seq: u64) -> u64 {
        let Some(track) = self.track(cpu, lane) else { return 0 };
        let hole = seq.saturating_sub(track.last).saturating_sub(1);
        track.missing = track.missing.saturating_add(hole);
        track.last = track.last.max(seq);
        track.due()
    }

    /// The probe could not send `dropped` records until now. Returns how many are newly known to be lost.
    pub(crate) fn reconcile(&mut self, cpu: u16, lane: Lane, dropped: u64) -> u64 {
        let Some(track) = self.track(cpu, lane) else { return 0 };
        track.dropped = track.dropped.max(dropped);
        track.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lost_record_is_reported_once() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.observe(1, Lane::Bulk, 1), 0);
        assert_eq!(sequences.observe(1, Lane::Bulk, 4), 2, "2 and 3 are missing");
        assert_eq!(sequences.reconcile(1, Lane::Bulk, 2), 0, "the same two");
        assert_eq!(sequences.reconcile(1, Lane::Bulk, 5), 3, "5, 6 and 7, known before 8 comes");
        assert_eq!(sequences.observe(1, Lane::Bulk, 8), 0);
        assert_eq!(sequences.observe(1, Lane::Bulk, 10), 1);
    }

    #[test]
    fn lanes_and_cpus_are_apart() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.observe(0, Lane::Rare, 3), 2, "the first two never came");
        assert_eq!(sequences.observe(0, Lane::Bulk, 1), 0);
        assert_eq!(sequences.observe(7, Lane::Rare, 1), 0);
    }
}
