//! The commands, a file each: its arguments and what it does.

pub mod audit_follow;
pub mod audit_policy;
pub mod audit_setup;
pub mod describe;
pub mod doctor;
pub mod explain;
pub mod fields;
pub mod fmt;
pub mod record;
pub mod replay;
pub mod status;
pub mod test;
pub mod validate;
