//! The event model: event table, field table, records.

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

mod args;
pub mod audit;
pub mod container;
pub mod descriptor;
pub mod event;
pub mod fd;
pub mod fd_facts;
pub mod fields;
mod fs_path;
pub mod host_names;
pub mod list;
pub mod open_call;
pub mod param;
pub mod path;
pub mod process;
pub mod procfs;
pub mod record;
mod schema;
pub mod table;
pub mod users;
pub mod write;

pub use event::{Event, MalformedEvent, Origin, OwnedEvent};
pub use schema::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE, load_options, schema};
