//! What the machine does while the agent watches. Each returns the wall time it took.

use std::{
    fs::File,
    io,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

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
    Workload { name: "2 k fork+exec of /bin/true", run: exec },
    Workload { name: "50 k loopback connects", run: connect },
    Workload { name: "all of the above", run: all },
    Workload { name: "400 k reported open+close by two threads", run: flood },
];

fn open_close() -> Result<Duration> {
    timed(200_000, || File::open("/etc/hostname").map(drop).map_err(Into::into))
}

fn stat() -> Result<Duration> {
    timed(200_000, || std::fs::metadata("/etc/hostname").map(drop).map_err(Into::into))
}

fn exec() -> Result<Duration> {
    timed(2_000, || Command::new("/bin/true").status().map(drop).map_err(Into::into))
}

/// Microseconds of one exec: of 20 batches of 50, what the fifth fastest took. Those that something else disturbed are
/// slower.
pub fn one_exec() -> Result<f64> {
    let batch = || timed(50, || Command::new("/bin/true").status().map(drop).map_err(Into::into));
    let mut times = (0..20).map(|_| batch()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[4].as_secs_f64() * 1e6 / 50.0)
}

/// Each is accepted before the next: a full queue would let a connect wait for a second.
fn connect() -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    timed(50_000, || {
        let stream = TcpStream::connect(address)?;
        listener.accept()?;
        reset_at_close(&stream).map_err(Into::into)
    })
}

/// Without this the ports of closed connections are not free again for a minute.
fn reset_at_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).unwrap_or(0);
    let value = (&raw const linger).cast();
    #[expect(unsafe_code, reason = "the standard library does not offer this option")]
    // SAFETY: the option's value is a valid linger of that size.
    let result =
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn all() -> Result<Duration> {
    Ok(open_close()? + stat()? + exec()? + connect()?)
}

/// Of a path that the filter leaves to the rules: each open is reported.
fn flood() -> Result<Duration> {
    let opens = || timed(200_000, || File::open("/etc/./hostname").map(drop).map_err(Into::into));
    let (one, other) = (thread::spawn(opens), thread::spawn(opens));
    let join = |thread: thread::JoinHandle<_>| thread.join().map_err(|_| anyhow!("a thread panicked"))?;
    Ok(join(one)?.max(join(other)?))
}

fn timed(times: u32, once: impl Fn() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..times {
        once()?;
    }
    Ok(start.elapsed())
}
