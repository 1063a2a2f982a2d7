//! The three programs in one file, because they share most of what they are made of. The name by which it is called
//! says which one it is.

use std::{env, ffi::OsStr, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    match Path::new(&called).file_name().and_then(OsStr::to_str) {
        Some("saker-agent") => saker_agent::main(),
        Some("saker-operator") => saker_operator::main(),
        _ => saker_cli::main(),
    }
}
