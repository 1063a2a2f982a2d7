//! Capture files (.scap): reading, writing, and the conversion of events of older versions.
//!
//! A capture is a section header, lists of what was there when it began (interfaces, users, processes, their
//! descriptors) and events (scap-format.md §1). [`Reader`] gives them in the order of the file, converted to the
//! event table of today; what is damaged ends the reading with an [`Error`] behind everything before it.

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

mod block;
mod convert;
mod cursor;
mod draft;
mod error;
mod gunzip;
mod host;
mod lists;
mod out;
mod reader;
mod record;
mod recorder;
mod tail;
mod window;
mod writer;

pub use error::Error;
pub use lists::{
    fds::{FdKind, ListedFd},
    interfaces::Interface,
    machine::Machine,
    processes::ListedProcess,
    users::{Group, User, UserList},
};
pub use reader::{Entry, Reader};
pub use recorder::{Ended, Limits, Recorder, Summary};
pub use writer::Writer;
