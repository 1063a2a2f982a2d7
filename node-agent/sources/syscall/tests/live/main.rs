//! Runs real system calls and looks at what the probe reports. Needs root and a kernel with BTF; elsewhere
//! the tests say so and pass.
#![expect(unsafe_code, reason = "the tests make system calls as an attacker would: by hand")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

/// A system call by its own number, not by libc's wrapper, which may use another one.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the tests pass what the call takes, in memory that lives longer.
        i32::try_from(unsafe { libc::syscall(libc::$number $(, $argument)*) }).unwrap_or(-1)
    };
}

mod calls;
mod connect;
mod exec;
mod facts;
mod filter;
mod harness;
mod loss;
mod open;
mod process;
mod scan;
