//! An output, for each source.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_events::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE, schema};
use saker_rules::template::Template;

fuzz_target!(|text: &str| {
    for source in [SYSCALL_SOURCE, K8S_AUDIT_SOURCE] {
        let _compiled = Template::compile(text, &schema(), source);
    }
});
