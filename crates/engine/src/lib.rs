//! Events to alerts: process table, evaluation; the same code live and in replay.
//!
//! ```text
//! Event ─ ProcessTable::before ─▶ SyscallRecord ─ RuleSet::evaluate ─▶ Alert ─ ProcessTable::after
//!                                                  ╰─▶ Waiting, while a container's metadata is on its way
//! AuditEvent ────────────────────▶ AuditRecord  ─ RuleSet::evaluate ─▶ Alert
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod alerts;
mod audit;
pub mod case;
pub mod containers;
mod hits;
pub mod internal;
mod links;
mod opens;
mod options;
mod params;
pub mod prefilter;
pub mod process_table;
mod recent;
mod rules;
mod syscall;
pub mod thread_table;
pub mod waiting;

pub use audit::AuditEngine;
pub use hits::{Count, Hits};
pub use links::Links;
pub use options::{Options, hostname};
pub use rules::RulesHandle;
pub use saker_rules::ruleset::Matching;
pub use syscall::{CaptureEngine, SyscallEngine};
