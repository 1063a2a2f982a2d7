//! The `saker` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    saker_cli::main()
}
