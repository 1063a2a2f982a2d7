//! `saker-operator`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    saker_operator::main()
}
