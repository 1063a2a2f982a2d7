//! Upstream's stable rules on this kernel: one real action that fires each, and a neighbour that must not.
//!
//! The test program is also what acts (`act.rs`): called under another name, or with an action as its argument, it does
//! that instead of testing. Needs root, BTF and upstream's rules (`SAKER_FIXTURES`).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the test reports for itself: it is its own helper program"
)]
#![expect(unsafe_code, reason = "the actions make system calls as an attacker would: by hand")]

#[path = "../agent/running.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent, which use more of it")]
mod running;

/// A system call by its own number.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the actions pass what the call takes, in memory that lives longer.
        i32::try_from(unsafe { libc::syscall(libc::$number $(, $argument)*) }).unwrap_or(-1)
    };
}

mod act;
mod cases;
#[path = "../../sources/syscall/tests/live/ring.rs"]
mod ring;

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args();
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let is_test = Path::new(&name).file_name().is_some_and(|name| name.to_string_lossy().starts_with("live"));
    // cargo gives flags of the usual test runner and names of tests.
    if !is_test || rest.first().is_some_and(|first| cases::is_action(first)) {
        return act::run(&rest);
    }
    cases::run()
}
