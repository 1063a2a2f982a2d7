//! Recorded events with Falco's own answers: alerts, fields and verdicts of random conditions. `SAKER_FIXTURES` names
//! the folder that holds `captures/` and `rules/`; without it there is nothing to run.

#![allow(clippy::print_stderr, reason = "it says what is skipped, and shows what differs")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{program, saker};
use serde_json::Value;

const RULES: [&str; 3] = ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"];

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SAKER_FIXTURES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SAKER_FIXTURES not set");
    }
    folder
}

/// Alerts as both write them, but for what a container runtime would say.
fn comparable(alert: &Value) -> Value {
    let mut fields = alert["output_fields"].as_object().cloned().unwrap_or_default();
    fields.retain(|key, _| !key.starts_with("container.") && !key.starts_with("k8s."));
    serde_json::json!([alert["time"], alert["rule"], alert["priority"], alert["source"], fields])
}

fn check_alerts(fixtures: &Path, rules: &[&str], expected: &str) {
    let mut args = vec![PathBuf::from("replay"), "--json".into()];
    for file in rules {
        args.extend(["--rules".into(), fixtures.join("rules").join(file)]);
    }
    args.extend(["--capture".into(), fixtures.join("captures/busy.scap")]);
    let ran = saker(args);
    let ours: Vec<_> = ran.success().lines().map(parse).collect();
    let theirs = fs::read_to_string(fixtures.join("captures").join(expected)).expect("Falco's alerts");
    let theirs: Vec<_> = theirs.lines().map(parse).collect();
    assert_eq!(ours, theirs, "{expected}");
}

fn parse(line: &str) -> Value {
    comparable(&serde_json::from_str(line).expect("an alert"))
}

#[test]
fn alerts_are_falcos() {
    let Some(fixtures) = fixtures() else { return };
    check_alerts(&fixtures, &RULES[..1], "busy.stable.jsonl");
    check_alerts(&fixtures, &RULES, "busy.all.jsonl");
}

/// Runs one of the scripts beside the captures; it tells what differs.
fn check_table(fixtures: &Path, script: &str, bar: &str, expected: &str, capture: &str) {
    let ran = Command::new("python3")
        .arg(fixtures.join("captures").join(script))
        .args(["--bar", bar])
        .arg(program())
        .args([fixtures.join(expected), fixtures.join(capture)])
        .env("TZ", "UTC")
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{capture}: {told}{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn fields_are_falcos() {
    let Some(fixtures) = fixtures() else { return };
    for name in [
        "captures/busy",
        "captures/curl_google",
        "corpus/events/cat_write",
        "corpus/events/open-multiple-files",
        "corpus/events/syscall",
    ] {
        let (expected, capture) = (format!("{name}.fields.jsonl"), format!("{name}.scap"));
        check_table(&fixtures, "check_fields.py", "100", &expected, &capture);
    }
}

/// The one of 400 that differs asks for `evt.deltatime <= 0`: see docs/captures.md, "Where Saker differs".
#[test]
fn conditions_are_falcos() {
    let Some(fixtures) = fixtures() else { return };
    let (expected, capture) = ("captures/busy.conditions.jsonl", "captures/busy.scap");
    check_table(&fixtures, "check_conditions.py", "99.5", expected, capture);
}
