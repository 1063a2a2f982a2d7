//! How fast a capture is replayed: reading, decompression, state, rules.

use std::fs;

use divan::{Bencher, black_box, counter::ItemsCount};
use saker_capture::{Entry, Reader};
use saker_engine::{CaptureEngine, Options, RulesHandle, prefilter::PathTable};
use saker_events::SYSCALL_SOURCE;

use crate::sets::{Set, fixtures};

/// The recorded events of `captures/busy.scap`.
#[divan::bench(args = Set::available(&[Set::Stable, Set::Syscalls]), sample_count = 9, sample_size = 1)]
fn replay(bencher: Bencher<'_, '_>, set: Set) {
    let path = fixtures().unwrap_or_default().join("captures/busy.scap");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let loaded = set.load();
    let handle = RulesHandle::new(loaded.rules.clone().expect("rules that load"));
    let filter = PathTable::new(loaded.conditions(SYSCALL_SOURCE));
    let run = || replayed(&bytes, &handle, filter.as_ref());
    bencher.counter(ItemsCount::new(run())).bench_local(run);
}

/// How many events there were.
fn replayed(bytes: &[u8], rules: &RulesHandle, filter: Option<&PathTable>) -> u64 {
    let mut engine = CaptureEngine::new(rules, &Options::new("bench")).with_filter(filter.cloned());
    let mut reader = Reader::new(bytes).expect("a capture");
    let (mut events, mut alerts) = (0, 0_u64);
    while let Some(entry) = reader.next().expect("an undamaged capture") {
        events += u64::from(matches!(entry, Entry::Event { .. }));
        engine.entry(entry, &mut |_| alerts += 1);
    }
    black_box(alerts);
    events
}
