//! The memory that threads and descriptors take: estimated as events come, counted when the estimate is high.

use std::sync::Arc;

use saker_events::process::Process;

use super::{Thread, ThreadTable};

/// Bytes of texts and descriptors kept at most; whoever needs more makes the table forget everything.
pub const MAX_BYTES: usize = 40 << 20;
/// What a descriptor takes beside its names, bytes.
const DESCRIPTOR: usize = 128;

impl ThreadTable {
    /// Takes note of bytes that an event may have left in the table.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes).saturating_add(DESCRIPTOR);
        if self.spent > MAX_BYTES {
            self.recount();
        }
    }

    fn recount(&mut self) {
        self.spent = self.threads.values().map(|t| t.bytes()).fold(0, usize::saturating_add);
        if self.spent > MAX_BYTES.saturating_mul(3) / 4 {
            self.counters.forgotten = self.counters.forgotten.saturating_add(1);
            self.threads = rustc_hash::FxHashMap::default();
            self.groups = rustc_hash::FxHashMap::default();
            (self.fds, self.spent) = (0, 0);
        }
    }
}

impl Thread {
    /// What it keeps; of what it shares with others its part.
    fn bytes(&self) -> usize {
        let files = self.fds.values().map(|fd| {
            let bytes = DESCRIPTOR.saturating_add(fd.file.name.len()).saturating_add(fd.file.raw.len());
            part(bytes, &fd.file)
        });
        files.fold(texts(&self.process), usize::saturating_add)
    }
}

fn texts(process: &Process) -> usize {
    let image = &process.image;
    let words = [&image.exe, &image.exepath, &image.args, &image.env].map(|text| text.len());
    let image = part(words.iter().sum(), image);
    let shared = [&process.comm, &process.cwd, &process.cgroups].map(|text| part(text.len(), text));
    shared.iter().fold(image, |sum, bytes| sum.saturating_add(*bytes))
}

fn part<T: ?Sized>(bytes: usize, of: &Arc<T>) -> usize {
    bytes.checked_div(Arc::strong_count(of)).unwrap_or(bytes)
}
