//! Captures of others, read to their end. `SAKER_FIXTURES` names the folder that holds them; without it there is
//! nothing to run.

#![allow(clippy::print_stderr, reason = "it says when there is nothing to run")]

use std::{collections::BTreeMap, fs::File, path::Path};

use saker_capture::{Entry, Reader};
use saker_events::table::EventRow;
use serde::Deserialize;

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

#[test]
fn captures_hold_what_they_should() {
    let Some(fixtures) = std::env::var_os("SAKER_FIXTURES") else {
        eprintln!("skipped: SAKER_FIXTURES not set");
        return;
    };
    let cases: BTreeMap<String, Holds> =
        serde_saphyr::from_str(include_str!("cases/captures.yaml")).expect("the cases");
    for (path, expected) in cases {
        assert_eq!(Holds::read(&Path::new(&fixtures).join(&path)), expected, "{path}");
    }
}
