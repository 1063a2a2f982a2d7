//! A condition: what parses prints as something that parses to the same, and compiles or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_events::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE, schema};
use saker_rules::{compile::Condition, limits::MAX_DEPTH, parse::parse};

fuzz_target!(|text: &str| {
    let Ok(tree) = parse(text, MAX_DEPTH) else { return };
    let printed = tree.to_string();
    if let Ok(again) = parse(&printed, MAX_DEPTH) {
        assert_eq!(again.to_string(), printed);
    }
    for source in [SYSCALL_SOURCE, K8S_AUDIT_SOURCE] {
        let _compiled = Condition::compile(&tree, &schema(), source);
    }
});
