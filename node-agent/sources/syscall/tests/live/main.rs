//! Runs real system calls and looks at what the probe reports. Needs root and a kernel with BTF; elsewhere
//! the tests say so and pass.
#![expect(unsafe_code, reason = "the tests make system calls as an attacker would: by hand")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[macro_use]
mod harness;
mod calls;
mod closing;
mod connect;
mod exec;
mod facts;
mod filter;
mod loss;
mod open;
mod pair;
mod polled;
mod privileges;
mod process;
mod quota;
mod race;
mod ring;
mod scan;
mod socket_option;
mod uring;
