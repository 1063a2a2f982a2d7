//! A recording of this machine: what is there, then events, until a limit is reached.

mod containers;

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use saker_events::{Event, container::Container};

use self::containers::Containers;

use crate::{
    ListedProcess, Writer,
    host::{self, fds::FdLister},
};

/// Bytes that the compression may still hold when the limit of the file is near.
const HELD_BYTES: u64 = 256 << 10;
/// Threads listed at most; the events of others tell less of who made them.
const MAX_PROCESSES: usize = 65_536;
/// Captures hold command lines and environments: they are for their owner alone.
const MODE: u32 = 0o600;

/// When a recording ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file, compressed; at least 1 MiB.
    pub bytes: u64,
    /// From the first event on.
    pub duration: Option<Duration>,
}

/// Why a recording ended by itself.
#[derive(Debug)]
pub enum Ended {
    /// The file is as long as it may be.
    Size,
    /// The time is over.
    Time,
    /// The file could not be written.
    Error(io::Error),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("its size limit is reached"),
            Self::Time => f.write_str("its time is over"),
            Self::Error(error) => write!(f, "it cannot be written: {error}"),
        }
    }
}

/// What a recording holds, and what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Threads that were there when it began.
    pub processes: usize,
    /// Events recorded.
    pub events: u64,
    /// Events that came after its end.
    pub after_end: u64,
    /// Events longer than a capture can hold.
    pub too_long: u64,
    /// Events that never arrived.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, events, after_end, too_long, lost, bytes } = self;
        write!(f, "{events} events and {processes} threads in {bytes} bytes")?;
        let left_out = [
            (lost, "lost on the way"),
            (after_end, "came after its end"),
            (too_long, "too long for a capture"),
        ];
        left_out
            .iter()
            .filter(|(count, _)| **count > 0)
            .try_for_each(|(count, why)| write!(f, ", {count} {why}"))
    }
}

/// Counts the bytes on their way to a file.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

type Sink = GzEncoder<Counted<BufWriter<File>>>;

/// Writes a capture of this machine.
pub struct Recorder {
    /// `None` once it ended.
    writer: Option<Writer<Sink>>,
    limits: Limits,
    boot_ts: u64,
    processes: Vec<ListedProcess>,
    containers: Containers,
    first_ts: Option<u64>,
    summary: Summary,
}

impl Recorder {
    /// Makes the file, empty and for its owner alone.
    pub fn create(path: &Path, limits: Limits) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
        let counted = Counted { inner: BufWriter::new(file), bytes: 0 };
        Ok(Self {
            writer: Some(Writer::new(GzEncoder::new(counted, Compression::fast()))),
            limits,
            boot_ts: host::machine().boot_ts,
            processes: Vec::new(),
            containers: Containers::default(),
            first_ts: None,
            summary: Summary::default(),
        })
    }

    /// Takes note of a process that was there before, from the event that tells of it.
    pub fn existing(&mut self, event: &Event) {
        if self.processes.len() < MAX_PROCESSES {
            self.processes.extend(ListedProcess::of_exec(event, self.boot_ts));
        }
    }

    /// Writes what was there before: the machine, its interfaces and users, the threads and their descriptors.
    pub fn begin(&mut self) -> io::Result<()> {
        let processes = std::mem::take(&mut self.processes);
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.section()?;
        writer.machine(&host::machine())?;
        writer.interfaces(&host::interfaces())?;
        writer.users(&host::users())?;
        let mut threads: Vec<_> = processes.iter().flat_map(ListedProcess::other_threads).collect();
        threads.truncate(MAX_PROCESSES);
        let all = [processes.as_slice(), &threads].concat();
        writer.processes(&all)?;
        let mut lister = FdLister::default();
        for process in &processes {
            writer.fds(process.tid, &lister.list(process.pid))?;
        }
        self.summary.processes = all.len();
        Ok(())
    }

    /// Writes an event and, before the first one of a container, what its runtime tells of it; while that is on its
    /// way, events wait. Says why if it was the last one; later ones are counted alone.
    pub fn event(&mut self, event: &Event, container: Option<&Arc<Container>>) -> Option<Ended> {
        if self.writer.is_none() {
            self.summary.after_end = self.summary.after_end.saturating_add(1);
            return None;
        }
        let text = container.and_then(|container| self.containers.meet(container));
        let told = text.and_then(|text| self.container(event.ts, &text));
        if self.containers.waits() {
            self.containers.hold(event);
            return told;
        }
        told.or_else(|| self.release()).or_else(|| self.write(event))
    }

    /// Writes what waited.
    fn release(&mut self) -> Option<Ended> {
        if !self.containers.has_held() {
            return None;
        }
        let (texts, events) = self.containers.release();
        let ts = events.front().map_or(0, |event| event.get().ts);
        let mut ended = None;
        for text in texts {
            ended = ended.or_else(|| self.container(ts, &text));
        }
        for event in events {
            ended = ended.or(self.write(&event.get()));
        }
        ended
    }

    fn container(&mut self, ts: u64, text: &[u8]) -> Option<Ended> {
        let bytes = containers::told(ts, text);
        let event = Event::parse(&bytes).ok()?;
        let written = self.writer.as_mut()?.event(&event, false);
        written.err().map(|error| self.end(Ended::Error(error)))
    }

    fn write(&mut self, event: &Event) -> Option<Ended> {
        let lasted = Duration::from_nanos(event.ts.saturating_sub(*self.first_ts.get_or_insert(event.ts)));
        let over = self.limits.duration.is_some_and(|limit| lasted >= limit);
        let Some(writer) = self.writer.as_mut().filter(|_| !over) else {
            self.summary.after_end = self.summary.after_end.saturating_add(1);
            return self.writer.is_some().then(|| self.end(Ended::Time));
        };
        match writer.event(event, false) {
            Ok(true) => self.summary.events = self.summary.events.saturating_add(1),
            Ok(false) => self.summary.too_long = self.summary.too_long.saturating_add(1),
            Err(error) => return Some(self.end(Ended::Error(error))),
        }
        let full = writer.get_ref().get_ref().bytes.saturating_add(HELD_BYTES) >= self.limits.bytes;
        full.then(|| self.end(Ended::Size))
    }

    /// Takes note of events that never arrived.
    pub fn lost(&mut self, count: u64) {
        self.summary.lost = self.summary.lost.saturating_add(count);
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        self.writer.is_none()
    }

    /// Completes the file.
    pub fn finish(mut self) -> io::Result<Summary> {
        if let Some(Ended::Error(error)) = self.release() {
            return Err(error);
        }
        self.close()?;
        Ok(self.summary)
    }

    fn end(&mut self, why: Ended) -> Ended {
        self.close().err().map_or(why, Ended::Error)
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let mut counted = writer.into_inner().finish()?;
        self.summary.bytes = counted.bytes;
        counted.flush()
    }
}

#[cfg(test)]
mod tests {
    use saker_events::{table::code, write};

    use super::*;
    use crate::{Entry, Reader};

    fn record(name: &str, limits: Limits, events: u64) -> (Vec<Ended>, Summary, u64, Vec<u8>) {
        let path = std::env::temp_dir().join(format!("saker-{name}-{}.scap", std::process::id()));
        let mut recorder = Recorder::create(&path, limits).unwrap();
        recorder.begin().unwrap();
        let mut ended = Vec::new();
        let mut noise = 1_u64;
        for second in 0..events {
            let data: Vec<u8> = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_le_bytes()[7]
            })
            .take(1000)
            .collect();
            let params = [vec![0; 8], data, vec![0; 8], vec![0; 4]];
            let bytes = write::event(second * 1_000_000_000, 1, code::SYSCALL_WRITE_X, &params);
            ended.extend(recorder.event(&Event::parse(&bytes).unwrap(), None));
        }
        let summary = recorder.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        let mut read = 0;
        while let Some(entry) = reader.next().unwrap() {
            read += u64::from(matches!(entry, Entry::Event { .. }));
        }
        (ended, summary, read, bytes)
    }

    #[test]
    fn a_recording_ends_at_its_time() {
        let limits = Limits { bytes: 1 << 20, duration: Some(Duration::from_secs(3)) };
        let (ended, summary, read, bytes) = record("time", limits, 5);
        assert!(matches!(ended[..], [Ended::Time]), "{ended:?}");
        assert_eq!((summary.events, summary.after_end, read), (3, 2, 3));
        assert_eq!(summary.bytes, bytes.len() as u64);
        assert_eq!(
            summary.to_string(),
            format!("3 events and 0 threads in {} bytes, 2 came after its end", bytes.len())
        );
    }

    #[test]
    fn a_recording_ends_at_its_size() {
        let limits = Limits { bytes: 1 << 20, duration: None };
        let (ended, summary, read, bytes) = record("size", limits, 2000);
        assert!(matches!(ended[..], [Ended::Size]), "{ended:?}");
        assert!(bytes.len() <= 1 << 20 && summary.events > 500, "{summary:?}");
        assert_eq!((summary.events + summary.after_end, read), (2000, summary.events));
    }

    #[test]
    fn a_recording_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("saker-mode-{}.scap", std::process::id()));
        drop(Recorder::create(&path, Limits { bytes: 1 << 20, duration: None }).unwrap());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, MODE);
    }
}
