//! What an API server needs to send its audit events: [`policy`] with the level that each loaded rule asks for,
//! and what to write where on each distribution. Pure: files and processes are the caller's.
//!
//! ```text
//! rules ─ demand ─▶ what each may match on which requests ─ derive ─▶ policy ─▶ YAML
//!                                                   policy of the user ─ check ─▶ gaps
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

mod check;
mod demand;
mod derive;
mod facts;
mod level;
mod lines;
mod noise;
pub mod policy;
mod print;
mod requests;

pub use check::{Gap, Unseen, check};
pub use demand::AuditRule;
pub use derive::{Derived, Line, derive};
pub use level::level_of;

/// The event source whose rules count.
pub const SOURCE: &str = "k8s_audit";
