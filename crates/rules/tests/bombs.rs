//! Rules files that are made to hurt: each is refused, or does no harm, in little memory. The cases stand in
//! cases/bombs.yaml.

#![allow(clippy::print_stdout, reason = "it says which case took longest")]
#![allow(unsafe_code, reason = "an allocator that counts is one")]

#[path = "support/small.rs"]
mod small;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use saker_rules::load::{LoadOptions, SourceFile, load};
use serde::Deserialize;

/// Most bytes that a file may hold on to while it is loaded, its own text apart.
const MAX_MEMORY: usize = 64 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator; it keeps count. There is one test here, so that no other disturbs the count.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: both calls go to the system's allocator as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed).wrapping_add(layout.size());
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`; the place comes from `alloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[derive(Deserialize)]
struct Case {
    name: String,
    make: Vec<Part>,
    /// A part of the error; without it the file loads.
    error: Option<String>,
}

/// A piece of the file: `text` as often as `times` says. `{i}` in it is the number of the round, `{j}` that of the
/// round before; `{*}` is the text of `each`, `width` times with `between` in between.
#[derive(Deserialize)]
struct Part {
    text: String,
    #[serde(default = "once")]
    times: usize,
    #[serde(default)]
    each: String,
    #[serde(default)]
    width: usize,
    #[serde(default)]
    between: String,
}

const fn once() -> usize {
    1
}

impl Part {
    fn write(&self, out: &mut String) {
        for i in 1..=self.times {
            let wide = self.text.replace("{*}", &vec![self.each.as_str(); self.width].join(&self.between));
            out.push_str(&wide.replace("{i}", &i.to_string()).replace("{j}", &(i - 1).to_string()));
        }
    }
}

impl Case {
    fn file(&self) -> SourceFile {
        let mut text = String::new();
        self.make.iter().for_each(|part| part.write(&mut text));
        SourceFile::new("bomb.yaml", text)
    }
}

/// How long a case took, and how many bytes.
fn run(case: &Case, options: &LoadOptions) -> (Duration, usize) {
    let file = case.file();
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let start = Instant::now();
    let loaded = load(std::slice::from_ref(&file), options);
    let (took, used) = (start.elapsed(), PEAK.load(Relaxed) - before);
    let name = &case.name;
    let errors: Vec<_> = loaded.files.iter().flat_map(|file| &file.errors).map(|e| &e.message).collect();
    let said: String = errors.iter().flat_map(|e| e.chars()).take(300).collect();
    match &case.error {
        Some(part) => assert!(errors.iter().any(|e| e.contains(part)), "{name}: no {part:?} in {said}"),
        None => assert!(errors.is_empty(), "{name}: {said}"),
    }
    assert!(used <= MAX_MEMORY, "{name} took {used} bytes");
    println!("{:>6} ms {:>6} KiB  {name}", took.as_millis(), used >> 10);
    (took, used)
}

#[test]
fn bombs_do_no_harm() {
    let cases = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/bombs.yaml")).unwrap();
    let cases: Vec<Case> = serde_saphyr::from_str(&cases).unwrap();
    let options = LoadOptions::new(Arc::new(small::schema()));
    let slowest = cases.iter().map(|case| (run(case, &options).0, &case.name)).max().unwrap();
    println!("{} cases; the slowest is {} with {} ms", cases.len(), slowest.1, slowest.0.as_millis());
}
