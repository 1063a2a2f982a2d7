//! Loading: from texts to rules that can be evaluated.

use divan::Bencher;
use saker_events::load_options;

use crate::sets::Set;

/// Rules files, one after the other.
#[divan::bench(args = Set::available(&[Set::Upstream, Set::Generated(10_000)]), sample_count = 9, sample_size = 1)]
fn load(bencher: Bencher<'_, '_>, set: Set) {
    let files = set.files();
    bencher.bench_local(|| saker_rules::load::load(&files, &load_options()));
}
