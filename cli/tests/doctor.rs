//! `saker doctor`: what it prints agrees with its exit code.

mod common;

use common::saker;

#[test]
fn the_verdict_and_the_exit_code_agree() {
    let ran = saker(["doctor"]);
    let out = ran.out();
    for check in ["kernel", "BTF", "capabilities"] {
        assert!(out.contains(check), "no {check} in:\n{out}");
    }
    match ran.code() {
        0 => assert!(out.ends_with("\nsaker-agent can run here\n") && !out.starts_with("missing"), "{out}"),
        1 => assert!(out.ends_with("\nsaker-agent cannot run here\n") && out.contains("missing "), "{out}"),
        code => panic!("exit code {code}: {}", ran.err()),
    }
}
