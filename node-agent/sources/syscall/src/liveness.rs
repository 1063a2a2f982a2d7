//! Whether the hooks still report. Each second the agent does something that each of them must tell: it begins and
//! ends a thread, and makes a harmless system call. A hook that tells nothing several times in a row is silent: it
//! was detached, its ring is gone, or the probe was changed. Counted in seconds that were lived through, so that an
//! agent that was stopped and goes on raises no false alarm.

use std::thread;

/// Hooks that tell, by the numbers of `ring.h`.
pub(crate) const HOOKS: [&str; 3] = ["sched_process_fork", "sched_process_exit", "sys_exit"];
/// Seconds without a word until a hook counts as silent.
const PATIENCE: u32 = 3;
/// Enough for a thread that does nothing.
const STACK_BYTES: usize = 16 << 10;

/// A hook fell silent, or speaks again. Also a map of the probe that somebody changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The kernel's name of it, or the map's.
    pub hook: &'static str,
    /// Whether it reports.
    pub alive: bool,
}

/// What is known of one hook.
#[derive(Debug, Clone, Copy, Default)]
struct Pulse {
    missed: u32,
    silent: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Liveness {
    pulses: [Pulse; HOOKS.len()],
    /// Lost records at the last look: markers may be among those that were lost since.
    lost: u64,
}

impl Liveness {
    /// The hook of this number told of the agent.
    pub(crate) fn heard(&mut self, hook: u16) {
        if let Some(pulse) = self.pulses.get_mut(usize::from(hook)) {
            pulse.missed = 0;
        }
    }

    /// Once a second. Gives the hooks that changed; a hook that is off says nothing.
    pub(crate) fn tick(&mut self, lost: u64, sys_exit: bool) -> Vec<Heard> {
        let full = lost > self.lost;
        self.lost = lost;
        let mut changed = Vec::new();
        for (hook, pulse) in HOOKS.into_iter().zip(&mut self.pulses) {
            let off = hook == "sys_exit" && !sys_exit;
            let silent = pulse.missed >= PATIENCE;
            if silent != pulse.silent {
                pulse.silent = silent;
                changed.push(Heard { hook, alive: !silent });
            }
            pulse.missed = if off || full { 0 } else { pulse.missed.saturating_add(1) };
        }
        changed
    }

    /// Does what the hooks must tell.
    pub(crate) fn act() {
        let thread = thread::Builder::new().name("marker".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(|| {}) {
            tracing::warn!(%error, "cannot test whether the hooks report");
        }
        call_marker();
    }
}

/// The call that the probe knows as the agent's marker.
#[expect(unsafe_code, reason = "the call has to be made, whatever it returns")]
fn call_marker() {
    // SAFETY: it takes a number and returns one.
    unsafe { libc::sched_get_priority_max(libc::SCHED_OTHER) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks once a second; `true` where the second hook is heard.
    #[track_caller]
    fn check(seconds: &[(bool, u64)], expected: &[(usize, bool)]) {
        let mut liveness = Liveness::default();
        let mut changes = Vec::new();
        for (second, (heard, lost)) in seconds.iter().enumerate() {
            for hook in [Some(0), heard.then_some(1), Some(2)].into_iter().flatten() {
                liveness.heard(hook);
            }
            changes.extend(liveness.tick(*lost, true).iter().map(|heard| (second, heard.hook, heard.alive)));
        }
        let expected: Vec<_> = expected.iter().map(|(second, alive)| (*second, HOOKS[1], *alive)).collect();
        assert_eq!(changes, expected);
    }

    #[test]
    fn silence_is_told_once_and_its_end_too() {
        let silent = [(false, 0); 5];
        check(&[[(true, 0); 2].as_slice(), &silent, &[(true, 0); 3]].concat(), &[(4, false), (7, true)]);
        check(&[(true, 0), (false, 0), (false, 0), (true, 0), (false, 0)], &[]);
    }

    #[test]
    fn a_full_ring_is_not_silence() {
        let losing: Vec<_> = (0..9).map(|second| (false, second)).collect();
        check(&losing, &[]);
    }

    #[test]
    fn a_hook_that_is_off_is_not_silent() {
        let mut liveness = Liveness::default();
        for _ in 0..9 {
            liveness.heard(0);
            liveness.heard(1);
            assert_eq!(liveness.tick(0, false), []);
        }
    }
}
