//! A log file that is followed while it is written, rotated and cut.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use saker_source_k8s_audit::{Counters, Intake, Json, LogFile, Reason, Start, follow};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// A directory with `audit.log`, and what was read of it by all followers.
struct Log {
    dir: TempDir,
    ids: Arc<Mutex<Vec<String>>>,
    overloaded: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Follower {
    fn stop(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }

    #[track_caller]
    fn stop_after(self, log: &Log, ids: &[&str]) {
        log.expect(ids);
        self.stop();
    }
}

fn line(id: &str) -> String {
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{id}\",\"stageTimestamp\":\"2026-01-01T00:00:00Z\"}}\n"
    )
}

impl Log {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self { dir, ids: Arc::default(), overloaded: Arc::default(), counters: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.path("audit.log"));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn events(&self, ids: &[&str]) {
        self.write(&ids.iter().map(|id| line(id)).collect::<String>());
    }

    fn follow(&self, start: Start) -> Follower {
        let log = LogFile { path: self.path("audit.log"), saved: self.path("state/place.json"), start };
        let (ids, overloaded) = (self.ids.clone(), self.overloaded.clone());
        let (counters, stop) = (self.counters.clone(), Arc::<AtomicBool>::default());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            follow(log, &counters, &stopped, |events| {
                if overloaded.load(Relaxed) {
                    return Intake::Overloaded;
                }
                let id = |json: &Json| json.get("auditID").and_then(Json::as_str).unwrap_or("?").to_owned();
                ids.lock().unwrap().extend(events.iter().map(|event| id(&event.json)));
                Intake::Accepted
            });
        });
        Follower { stop, thread }
    }

    /// Waits until exactly these were read, by all followers together.
    #[track_caller]
    fn expect(&self, ids: &[&str]) {
        let end = Instant::now() + PATIENCE;
        while self.ids.lock().unwrap().len() < ids.len() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(*self.ids.lock().unwrap(), ids);
    }

    /// Waits until a follower has the file open.
    fn opened(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.path("state/place.json").exists() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn lines_are_read_from_where_it_was_told_to_begin() {
    let log = Log::new();
    log.events(&["a", "b"]);
    let follower = log.follow(Start::Beginning);
    log.expect(&["a", "b"]);
    log.events(&["c"]);
    log.expect(&["a", "b", "c"]);
    follower.stop();

    let log = Log::new();
    log.events(&["a", "b"]);
    let follower = log.follow(Start::End);
    log.opened();
    log.events(&["c"]);
    log.expect(&["c"]);
    follower.stop();
}

#[test]
fn a_file_that_appears_later_is_read_whole() {
    let log = Log::new();
    let follower = log.follow(Start::End);
    let end = Instant::now() + PATIENCE;
    while log.counters.log.problem().is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(log.counters.log.problem().unwrap().contains("No such file"));
    log.events(&["a"]);
    log.expect(&["a"]);
    follower.stop();
    assert_eq!(log.counters.log.problem(), None);
}

#[test]
fn half_a_line_waits_for_its_end() {
    let log = Log::new();
    let follower = log.follow(Start::Beginning);
    let text = line("a");
    let (first, second) = text.split_at(30);
    log.write(first);
    thread::sleep(Duration::from_millis(400));
    log.expect(&[]);
    log.write(second);
    log.expect(&["a"]);
    follower.stop();
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let log = Log::new();
    log.events(&["a"]);
    log.follow(Start::Beginning).stop_after(&log, &["a"]);
    log.events(&["b"]);
    log.follow(Start::End).stop_after(&log, &["a", "b"]);
    // Rotated twice while nobody looked, as apiservers name it.
    log.events(&["c"]);
    fs::rename(log.path("audit.log"), log.path("audit-2026-01-01T00-00-00.000.log")).unwrap();
    tick();
    log.events(&["d"]);
    fs::rename(log.path("audit.log"), log.path("audit-2026-01-02T00-00-00.000.log")).unwrap();
    tick();
    log.events(&["e"]);
    fs::write(log.path("audit2.log"), line("of another log")).unwrap();
    log.follow(Start::End).stop_after(&log, &["a", "b", "c", "d", "e"]);
}

/// Rotated files are told apart by their time.
fn tick() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn rotation_while_reading_loses_nothing() {
    let log = Log::new();
    let follower = log.follow(Start::Beginning);
    log.events(&["first"]);
    log.expect(&["first"]);
    let mut ids = vec!["first".to_owned()];
    for number in 0..8 {
        let id = number.to_string();
        log.events(&[&id]);
        fs::rename(log.path("audit.log"), log.path(&format!("audit.log.{}", 9 - number))).unwrap();
        ids.push(id);
        tick();
    }
    log.events(&["last"]);
    ids.push("last".to_owned());
    log.expect(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    follower.stop();
}

#[test]
fn a_cut_file_is_read_from_its_copy_and_then_anew() {
    let log = Log::new();
    let follower = log.follow(Start::Beginning);
    log.events(&["a", "b", "c"]);
    log.expect(&["a", "b", "c"]);
    // Written, copied and cut between two looks; and written again, beyond the place of before.
    log.events(&["d"]);
    fs::copy(log.path("audit.log"), log.path("audit.log.1")).unwrap();
    tick();
    fs::write(log.path("audit.log"), "").unwrap();
    log.events(&["e", "f", "g", "h", "i", "j"]);
    log.expect(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    follower.stop();
}

#[test]
fn a_cut_file_without_a_copy_is_read_anew() {
    let log = Log::new();
    let follower = log.follow(Start::Beginning);
    log.events(&["a", "b"]);
    log.expect(&["a", "b"]);
    fs::write(log.path("audit.log"), line("c")).unwrap();
    log.expect(&["a", "b", "c"]);
    follower.stop();
}

#[test]
fn a_line_without_end_is_passed_over() {
    let log = Log::new();
    let follower = log.follow(Start::Beginning);
    log.write(&"x".repeat(3 << 20));
    log.write("\n");
    log.events(&["a"]);
    log.write("garbage\n");
    log.events(&["b"]);
    log.expect(&["a", "b"]);
    follower.stop();
    let too_large = Reason::TooLarge { bytes: 0, limit: 0 }.index();
    assert_eq!(log.counters.rejected[too_large].load(Relaxed), 1);
}

#[test]
fn an_overloaded_engine_is_waited_for() {
    let log = Log::new();
    log.overloaded.store(true, Relaxed);
    log.events(&["a"]);
    let follower = log.follow(Start::Beginning);
    thread::sleep(Duration::from_millis(300));
    follower.stop();
    log.overloaded.store(false, Relaxed);
    log.follow(Start::End).stop_after(&log, &["a"]);
}
