//! The Kubernetes audit source: receives what an apiserver's audit webhook posts and hands the events on.
//!
//! The decoder itself is [`saker_events::audit`], so that recorded events are read by the same code.

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

mod counters;
mod dedup;
mod error;
mod receive;
mod server;

pub use counters::{Counters, LEVELS, OUTCOMES, STAGES};
pub use error::Refusal;
pub use receive::{Config, Intake, routes};
pub use saker_events::audit::{AuditEvent, Decoded, Json, Limits, Reason, Rejection, decode};
pub use server::{Connections, serve};
