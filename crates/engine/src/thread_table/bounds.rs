//! The bounds of the table: of its threads, and of the memory that they and their descriptors take, which is estimated
//! as events come and counted when the estimate is high.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use saker_events::process::Process;

use super::{Thread, ThreadTable};

/// Bytes of texts and descriptors kept at most.
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
        self.spent = self.bytes();
        while self.spent > MAX_BYTES.saturating_mul(3) / 4 && !self.threads.is_empty() {
            self.evict();
            self.spent = self.bytes();
        }
    }

    fn bytes(&self) -> usize {
        self.threads.values().map(Thread::bytes).fold(0, usize::saturating_add)
    }

    /// Forgets a quarter of the threads, those that were quiet for longest: first of those without children, which
    /// nobody needs to know where he comes from.
    pub(super) fn evict(&mut self) {
        let needed = |t: &Thread| [t.process.ptid, if t.process.is_main() { -1 } else { t.process.pid }];
        let parents: FxHashSet<i64> = self.threads.values().flat_map(needed).collect();
        let rank = |thread: &Thread| (parents.contains(&thread.process.tid), thread.used, thread.process.tid);
        let mut ranked: Vec<_> = self.threads.values().map(rank).collect();
        ranked.sort_unstable();
        ranked.truncate(ranked.len().div_ceil(4));
        for (_, _, tid) in &ranked {
            self.remove_now(*tid);
        }
        let gone = u64::try_from(ranked.len()).unwrap_or(u64::MAX);
        self.counters.evicted_threads = self.counters.evicted_threads.saturating_add(gone);
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
