//! Bytes of a capture file: every entry is read to the end or the first error, and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_capture::{Reader, Writer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    let mut writer = Writer::new(Vec::new());
    while let Ok(Some(entry)) = reader.next() {
        let _fits = writer.entry(&entry);
    }
});
