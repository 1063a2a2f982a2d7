//! The operator: FalcoRules to a bundle in ConfigMaps, and back the word on which nodes run it.
//!
//! ```text
//! FalcoRules ─ watch ─▶ dereference ─▶ validate ─▶ build ─▶ apply ─▶ update_status
//!                       (client)       (pure)      (pure)   (client)  (pure, then client)
//! ```

pub mod admission;
pub mod agents;
pub mod args;
pub mod audit_sink;
mod conditions;
mod crds;
mod default_rules;
pub mod falco_rule;
mod held;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod owner;
mod pace;
mod rollout;
pub mod run;
mod saker_node;
mod shipped;
mod tally;
pub mod tenancy;
mod token;
pub mod unreadable;

use std::process::ExitCode;

use clap::Parser as _;

/// The program.
///
/// # Panics
///
/// Where no thread can be started.
#[tokio::main]
pub async fn main() -> ExitCode {
    run::main(args::Args::parse()).await
}
