//! The node agent: sources, engine, outputs on one node.
//!
//! ```text
//! run ─ config ─ outputs ─ rules (rules_source, reload, watch) ─ sources (syscalls, audit) ─ web
//! events: ring or HTTP ─▶ engine ─▶ alerts ─▶ outputs         status is what all of them tell
//! ```

mod alerts;
mod args;
mod audit;
mod audit_access;
mod audit_log;
mod audit_sight;
mod audit_silence;
mod audit_sink;
mod audit_status;
mod blind;
mod bundle;
mod capture;
mod config;
mod containers;
mod drops;
mod host_names;
mod links;
mod living;
mod log;
mod metrics;
mod operator;
mod processes;
mod reload;
mod rules_source;
mod run;
mod source;
mod status;
mod summary;
mod syscalls;
mod users;
mod wanted;
mod watch;
mod web;

pub use run::main;
