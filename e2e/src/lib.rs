//! End-to-end tests: the programs as processes, a real kube-apiserver, and nothing between them but the network.
//!
//! `make e2e` starts the control plane ([`Cluster`]) and runs the tests; plain `cargo test` skips them, saying so.

mod alerts;
mod cluster;
mod fleet;
mod node;
mod process;
pub mod prometheus;
mod proxy;
mod rest;
mod sink;
mod swarm;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

pub use alerts::{AGENTS, Alerts};
pub use cluster::{Cluster, NAMESPACE, NODE, checkout};
pub use fleet::{Fleet, start_operator};
pub use node::{Kind, Node, rules_files};
pub use process::Process;
pub use proxy::{Asked, Proxy};
pub use reqwest::Method;
pub use rest::Rest;
pub use sink::Sink;
pub use swarm::Swarm;

/// Long enough for a machine under load; the time it took is printed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Looks until there is something to see, and prints how long that took.
///
/// # Panics
/// If there is nothing to see for too long; `why` then says what there was instead.
pub fn eventually<T>(what: &str, why: impl Fn() -> String, look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let Some(found) = within(PATIENCE, look) else { panic!("not within {PATIENCE:?}: {what}\n{}", why()) };
    say(&format!("{what}: {:.2} s", start.elapsed().as_secs_f64()));
    found
}

/// Looks every few milliseconds, at most so long.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// A line for the reader of the test run, past the harness, which keeps what a passing test prints.
pub fn say(line: &str) {
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether this process may load the probe; says so if not.
pub fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !root {
        say("skipped: needs root");
    }
    root
}
