//! What the machine does while the agent watches. Each returns the wall time it took.

use std::{
    fs::File,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;

/// A named workload.
pub struct Workload {
    /// As docs/performance.md names it.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn() -> Result<Duration>,
}

/// Every workload that is timed with the agent on and off.
pub const ALL: &[Workload] = &[
    Workload { name: "200 k open+close of a file", run: open_close },
    Workload { name: "200 k stat of a file", run: stat },
    Workload { name: "500 fork+exec of /bin/true", run: exec },
];

fn open_close() -> Result<Duration> {
    timed(200_000, || File::open("/etc/hostname").map(drop).map_err(Into::into))
}

fn stat() -> Result<Duration> {
    timed(200_000, || std::fs::metadata("/etc/hostname").map(drop).map_err(Into::into))
}

fn exec() -> Result<Duration> {
    timed(500, || Command::new("/bin/true").status().map(drop).map_err(Into::into))
}

fn timed(times: u32, once: impl Fn() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..times {
        once()?;
    }
    Ok(start.elapsed())
}
