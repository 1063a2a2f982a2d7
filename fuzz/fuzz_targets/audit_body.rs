//! The body of an audit request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_events::audit::{Limits, decode};

fuzz_target!(|body: &[u8]| {
    let limits = Limits::default();
    let decoded = decode(body, &limits);
    assert!(decoded.events.len() + decoded.rejected.len() <= limits.items + 1);
});
