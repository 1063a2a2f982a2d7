//! The node agent: sources, engine, outputs on one node.

pub mod config;
