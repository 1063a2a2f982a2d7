//! The Kubernetes audit source: receives what an apiserver's audit webhook posts, or follows its log file, and
//! hands the events on.
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

mod access;
mod body;
mod counters;
mod dedup;
mod error;
mod files;
mod log_file;
mod receive;
mod room;
mod server;
mod tls;

pub use access::{Access, Token, TokenError};
pub use counters::{Counters, LEVELS, OUTCOMES, STAGES};
pub use error::Refusal;
pub use log_file::{LogFile, Start, follow};
pub use receive::{Config, Intake, routes};
pub use saker_events::audit::{AuditEvent, Decoded, Json, Limits, Reason, Rejection, decode, decode_from};
pub use server::{Bounds, Connections, Peer, listen, serve};
pub use tls::{Tls, TlsError, TlsFiles};
