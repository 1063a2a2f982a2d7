//! The `saker-agent` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    saker_agent::main()
}
