//! The event model: event table, field table, records.

pub mod audit;
pub mod event;
pub mod fields;
pub mod record;

pub use event::{Event, MalformedEvent, Origin};
