//! The syscall source: loads the eBPF probe, drains its rings.
//!
//! ```text
//! kernel: tracepoint → record → ring, one per lane        (node-agent/probe)
//! here:   ring → rare and bulk lane merged by time → sequence check → `Item`
//! ```
//!
//! The rare lane carries what keeps the process table true (fork, exec, exit), the bulk lane the rest, so
//! that a flood of opens never costs an exec. [`Probe`] is the whole interface; [`preflight`] tells what a
//! machine lacks for it.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test may panic"
    )
)]

mod clock;
mod counters;
mod delivery;
mod object;
pub mod preflight;
mod probe;
mod procfs;
pub mod record;
mod rings;
mod scan;
mod sequence;
mod syscalls;

pub use clock::boot_time;
pub use counters::{Class, ClassCounters, Counters, CpuCounters};
pub use delivery::Item;
pub use probe::{Hook, HookState, Probe, ProbeError, RingBytes, Settings};
pub use record::Lane;
pub use syscalls::{NotCaptured, SyscallSet};
