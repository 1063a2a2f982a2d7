//! Captures of others, read to their end. `SAKER_FIXTURES` names the folder that holds them; without it there is
//! nothing to run.

#![allow(clippy::print_stderr, reason = "it says when there is nothing to run")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use saker_capture::{Entry, Reader};
use saker_events::{Event, table::EventRow};
use serde::Deserialize;
use serde_json::Value;

/// How much of each thing a capture holds.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holds {
    interfaces: usize,
    users: usize,
    groups: usize,
    processes: usize,
    fds: usize,
    /// By name, direction and code: `open E 2`.
    events: BTreeMap<String, u64>,
}

impl Holds {
    fn read(path: &Path) -> Self {
        let mut holds = Self::default();
        let mut reader = Reader::new(File::open(path).expect("a capture")).expect("its first bytes");
        let mut last = 0;
        while let Some(entry) = reader.next().expect("a whole capture") {
            if let Entry::Event { event, .. } = &entry {
                last += 1;
                assert_eq!(event.num, last, "numbers count from 1");
            }
            holds.add(entry);
        }
        holds
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Section | Entry::Machine(_) => {}
            Entry::Interfaces(list) => self.interfaces += list.len(),
            Entry::Users(list) => {
                self.users += list.users.len();
                self.groups += list.groups.len();
            }
            Entry::Processes(list) => self.processes += list.len(),
            Entry::Fds { fds, .. } => self.fds += fds.len(),
            Entry::Event { event, .. } => {
                let row = EventRow::of(event.code).expect("a known event");
                let direction = if row.enter { 'E' } else { 'X' };
                *self.events.entry(format!("{} {direction} {}", row.name, row.code)).or_default() += 1;
            }
        }
    }
}

/// What Falco says of some events of a capture, by their numbers.
fn told(path: &Path) -> BTreeMap<u64, Value> {
    let text = fs::read_to_string(path.with_extension("fields.jsonl")).expect("a table of fields");
    let rows = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.map(|row| (row["evt.num"].as_u64().expect("a number"), row)).collect()
}

fn check(event: &Event, told: &Value) {
    assert_eq!(told["evt.rawtime"], event.ts, "event {}", event.num);
    assert_eq!(told["evt.cpu"], event.cpu, "event {}", event.num);
    let row = EventRow::of(event.code).expect("a known event");
    if !row.is_generic() {
        assert_eq!(told["evt.type"], row.name, "event {}", event.num);
    }
}

#[test]
fn events_have_the_numbers_that_falco_gives_them() {
    let Some(fixtures) = fixtures() else { return };
    for path in cases()
        .into_keys()
        .map(|path| fixtures.join(path))
        .filter(|p| p.with_extension("fields.jsonl").exists())
    {
        let mut told = told(&path);
        let mut reader = Reader::new(File::open(&path).expect("a capture")).expect("its first bytes");
        while let Some(entry) = reader.next().expect("a whole capture") {
            if let Entry::Event { event, .. } = entry {
                told.remove(&event.num).inspect(|row| check(&event, row));
            }
        }
        assert!(told.is_empty(), "{}: {:?}", path.display(), told.keys());
    }
}

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SAKER_FIXTURES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SAKER_FIXTURES not set");
    }
    folder
}

fn cases() -> BTreeMap<String, Holds> {
    serde_saphyr::from_str(include_str!("cases/captures.yaml")).expect("the cases")
}

#[test]
fn captures_hold_what_they_should() {
    let Some(fixtures) = fixtures() else { return };
    for (path, expected) in cases() {
        assert_eq!(Holds::read(&fixtures.join(&path)), expected, "{path}");
    }
}
