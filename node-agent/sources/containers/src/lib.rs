//! What container runtimes tell of containers, asked beside the events.
//!
//! ```text
//! engine: first sight of a container ─ try_send ─▶ queue ─▶ look-up ─▶ every socket at once ─▶ Container::set_metadata
//! ```
//!
//! A runtime may hang, lie, close its socket or answer without end. Every call has a time limit, every answer a
//! size limit, a socket that fails is left alone for a while, and everything is counted.

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

mod containerd;
mod counters;
mod cri;
mod docker;
mod engines;
#[cfg(test)]
mod fake;
mod fault;
mod grpc;
mod limits;
mod lookup;
mod oci;
mod socket;

pub use counters::Counts;
pub use engines::{Engine, Kind, Settings, defaults};
pub use fault::Fault;
pub use lookup::Containers;
pub use socket::{SocketReport, SocketState};
