//! What is written is read again as it was.

#![allow(clippy::print_stderr, reason = "it says when there is nothing to run")]

mod common;

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};
use saker_capture::{Entry, Reader, Writer};
use saker_events::{
    Event, Origin,
    event::HEADER_BYTES,
    table::{EVENTS, code},
    write,
};

/// Reads a capture and writes what was read.
fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let mut reader = Reader::new(bytes).expect("a capture");
    while let Some(entry) = reader.next().expect("a whole capture") {
        assert!(writer.entry(&entry).expect("memory"), "{entry:?} is too long");
    }
    assert_eq!(writer.bytes(), writer.get_ref().len() as u64);
    writer.into_inner()
}

#[test]
fn captures_of_others() {
    let Some(fixtures) = std::env::var_os("SAKER_FIXTURES") else {
        eprintln!("skipped: SAKER_FIXTURES not set");
        return;
    };
    for folder in ["captures", "corpus/events"] {
        let files = fs::read_dir(Path::new(&fixtures).join(folder)).expect("the captures");
        for path in
            files.map(|f| f.expect("a file").path()).filter(|p| p.extension().is_some_and(|e| e == "scap"))
        {
            let bytes = fs::read(&path).expect("a capture");
            let (before, error) = common::read(&bytes);
            assert!(error.is_none(), "{}: {error:?}", path.display());
            let (after, error) = common::read(&rewritten(&bytes));
            assert!(error.is_none(), "{}: {error:?}", path.display());
            assert!(before == after, "{}: not as it was", path.display());
        }
    }
}

fn written(event: &Event) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.section().unwrap();
    assert!(writer.event(event, false).unwrap());
    writer.into_inner()
}

proptest! {
    /// Events as the probe makes them, with parameters of its own and the process behind them.
    #[test]
    fn live_events(at in 0..EVENTS.len(), params in vec(vec(any::<u8>(), 0..40), 0..40), tgid: u32, start: u64) {
        let row = &EVENTS[at];
        prop_assume!(!row.enter && row.flags & saker_events::table::event_flags::OLD_VERSION == 0);
        prop_assume!(row.flags & saker_events::table::event_flags::UNUSED == 0);
        let mut params = params;
        params.resize(params.len().max(row.own_params()), Vec::new());
        let bytes = write::event(5, 7, row.code, &params);
        let mut event = Event::parse(&bytes).unwrap();
        (event.num, event.cpu, event.origin) = (1, 3, Some(Origin { tgid, start }));
        let (entries, error) = common::read(&written(&event));
        prop_assert!(error.is_none());
        prop_assert_eq!(entries, ["Section".to_owned(), format!("event {} false", common::shown(&event))]);
    }
}

#[test]
fn other_readers_see_the_tables_parameters_alone() {
    let row = &EVENTS[usize::from(code::SYSCALL_OPENAT_2_X)];
    let params: Vec<_> = row.params.iter().map(|_| vec![1; 8]).collect();
    assert!(row.own_params() < params.len(), "the row has parameters of our own");
    let bytes = write::event(5, 7, row.code, &params);
    let capture = written(&Event::parse(&bytes).unwrap());
    let event = &capture[common::section().len() + 8 + 2..];
    let seen = Event::parse(event).unwrap();
    assert_eq!(seen.param_count(), row.own_params());
    let len = HEADER_BYTES + 10 * row.own_params();
    assert_eq!(event[16..20], u32::try_from(len).unwrap().to_le_bytes());
}

#[test]
fn events_too_long_for_other_readers_are_not_written() {
    let bytes =
        write::event(5, 7, code::SYSCALL_WRITE_X, &[vec![0; 8], vec![1; 65_500], vec![0; 8], vec![0; 4]]);
    let mut writer = Writer::new(Vec::new());
    assert!(!writer.event(&Event::parse(&bytes).unwrap(), false).unwrap());
    assert_eq!(writer.bytes(), 0);
    assert!(writer.into_inner().is_empty());
}

#[test]
fn entries_of_unknown_kind_are_left_out() {
    use saker_capture::{FdKind, ListedFd};
    let fds = vec![ListedFd { fd: 3, ino: 0, kind: FdKind::Unknown }];
    let mut writer = Writer::new(Vec::new());
    writer.section().unwrap();
    writer.entry(&Entry::Fds { tid: 7, fds }).unwrap();
    let (entries, _) = common::read(&writer.into_inner());
    assert_eq!(entries[1], "Fds { tid: 7, fds: [] }");
}

#[test]
fn seeds_of_the_fuzz_target_are_whole_captures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/capture");
    for file in fs::read_dir(folder).expect("the seeds") {
        let bytes = fs::read(file.expect("a file").path()).expect("a seed");
        let (entries, error) = common::read(&bytes);
        assert!(error.is_none() && entries.len() > 3, "{entries:#?} {error:?}");
    }
}
