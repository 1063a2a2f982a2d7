//! The node agent: sources, engine, outputs on one node.

pub mod alerts;
pub mod args;
pub mod config;
pub mod drops;
pub mod metrics;
pub mod status;
