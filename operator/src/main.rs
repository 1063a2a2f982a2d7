//! `saker-operator`: see the library.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    saker_operator::run::main(saker_operator::args::Args::parse()).await
}
