//! Events to alerts: process table, evaluation; the same code live and in replay

pub mod case;
