//! How fast a capture is replayed, by the processor time of one thread: reading, decompression, state, rules.

use std::path::Path;

use anyhow::{Context, Result};
use saker_capture::{Entry, Reader};
use saker_engine::{CaptureEngine, Options, RulesHandle, prefilter::PathTable};
use saker_events::{SYSCALL_SOURCE, load_options};
use saker_rules::load::load;

use crate::{
    clock,
    report::{as_f64, row},
    rules,
};

const ROUNDS: usize = 9;

/// Prints further rows of the table of rules: upstream's in `folder` over the capture beside it, if there is one.
pub fn print(folder: &Path) -> Result<()> {
    let capture = folder.join("../captures/busy.scap");
    if !capture.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(&capture).with_context(|| format!("reading {}", capture.display()))?;
    for (name, files) in [("25 rules", 1), ("93 rules", 3)] {
        let loaded = load(&rules::upstream(folder, files)?, &load_options());
        let handle = RulesHandle::new(loaded.rules.clone().context("the rules do not load")?);
        let filter = PathTable::new(loaded.conditions(SYSCALL_SOURCE));
        let speeds: Result<Vec<f64>> = (0..ROUNDS).map(|_| speed(&bytes, &handle, filter.as_ref())).collect();
        row(&format!("replay of a capture, {name}: million events a second"), speeds?);
    }
    Ok(())
}

fn speed(bytes: &[u8], rules: &RulesHandle, filter: Option<&PathTable>) -> Result<f64> {
    let before = clock::thread();
    let mut engine = CaptureEngine::new(rules, &Options::new("bench")).with_filter(filter.cloned());
    let (mut reader, mut events, mut alerts) = (Reader::new(bytes)?, 0_u64, 0_u64);
    while let Some(entry) = reader.next()? {
        events += u64::from(matches!(entry, Entry::Event { .. }));
        engine.entry(entry, &mut |_| alerts += 1);
    }
    std::hint::black_box(alerts);
    Ok(as_f64(events) / 1e6 / clock::thread().saturating_sub(before).as_secs_f64())
}
