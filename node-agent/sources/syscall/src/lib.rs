//! The syscall source: loads the eBPF probe, drains its rings.
//!
//! ```text
//! kernel: tracepoint → record → ring, one per lane        (node-agent/probe)
//! here:   ring → rare and bulk lane merged by time → sequence check → `Item`
//! ```
//!
//! Events have the parameters of the event table, and behind them some of our own, at its parameter count:
//!
//! | event | parameters |
//! |---|---|
//! | open, creat, openat, openat2 | `resolved`: path of what was really opened, as the process sees it, from the kernel's own objects; `dirpath`: path of the directory that a relative name starts from, if a descriptor names it |
//! | calls with a path | `dirpath`, for two paths `olddirpath` and `newdirpath`: path of the directory that a relative name starts from |
//! | calls with or for a descriptor | `fdfacts`: what it stands for, from the kernel's own table (`saker_events::fd_facts`) |
//! | execve, execveat, and the processes of [`Probe::scan`] | `sid`, `vtid`, `vpid` (PID), `pidns_init_start_ts` (nanoseconds since boot) |
//!
//! A path that is too long for the probe (128 components, 4096 bytes) keeps its end and begins without a slash.
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

mod bpf;
mod calls;
mod cast;
mod clock;
mod counters;
mod delivery;
mod filter;
mod halves;
mod integrity;
mod late;
mod link;
mod liveness;
mod mapped;
mod object;
pub mod preflight;
mod probe;
mod procfs;
mod programs;
mod recipe;
pub mod record;
mod rings;
mod scan;
mod sequence;
mod syscalls;
mod translation;

pub use clock::boot_time;
pub use counters::{Class, ClassCounters, Counters, CpuCounters};
pub use delivery::Item;
pub use filter::{FILTER_KINDS, FilterMode, PathFilter};
pub use liveness::Heard;
pub use probe::{Hook, HookState, Probe, ProbeError, RingBytes, Settings};
pub use record::Lane;
pub use rings::Waker;
pub use syscalls::{NotCaptured, SyscallSet};
