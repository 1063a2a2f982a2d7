//! `saker record`: a command recorded, and replayed.

#![allow(clippy::print_stderr, reason = "it says when it cannot run")]

mod common;

use common::{Files, saker};

const RULES: &str = "
- rule: Marker read
  desc: d
  condition: evt.type in (open, openat) and fd.name endswith /marker
  output: \"%proc.cmdline read %fd.name below %proc.pname\"
  priority: WARNING
";

#[test]
fn a_recorded_command_is_replayed() {
    let files = Files::new([("marker", "x"), ("rules.yaml", RULES)]);
    let (capture, script) = (files.arg("c.scap"), format!("cat {}; true", files.arg("marker")));
    let record = || saker(["record", &capture, "--seconds", "20", "--", "sh", "-c", &script]);
    // A busy machine may fill the ring; then it is recorded again.
    let mut tries = (0..10).map(|_| record());
    let ran = tries.find(|ran| !ran.err().contains("lost")).expect("a recording that lost nothing");
    if ran.code() != 0 {
        assert!(ran.err().contains("root") || ran.err().contains("BTF"), "{}", ran.err());
        eprintln!("skipped: the probe cannot run here: {}", ran.err());
        return;
    }
    assert!(ran.err().contains(" events and "), "{}", ran.err());
    let replayed = saker(["replay", "--capture", &capture, "--rules", &files.arg("rules.yaml")]).success();
    let expected = format!("cat {0} read {0} below sh", files.arg("marker"));
    assert!(replayed.contains(&expected), "{replayed}");
}

#[test]
fn what_cannot_be_recorded_is_said() {
    let refused = saker(["record", "/nowhere/c.scap", "--", "true"]).fails(1);
    assert!(refused.starts_with("error: "), "{refused}");
    saker(["record", "c.scap", "--max-size", "0"]).fails(2);
}
