//! Kubernetes audit events against what Falco makes of them. The directory that SAKER_FIXTURES names holds
//! events, conditions with the events that match each, and replays of rules files.

#![allow(clippy::print_stdout, reason = "what was skipped or done is said")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use saker_events::{
    K8S_AUDIT_SOURCE,
    audit::{AuditEvent, Json, Limits, decode},
    record::{AuditRecord, Header},
    schema,
};
use saker_rules::{compile::Condition, limits::MAX_DEPTH, parse::parse};
use serde_json::Value;

fn fixtures() -> Option<PathBuf> {
    let found = env::var_os("SAKER_FIXTURES").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: SAKER_FIXTURES not set");
    }
    found
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(path: &Path) -> Vec<AuditEvent> {
    decode(&fs::read(path).unwrap(), &Limits::default()).events
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect()
}

#[test]
fn conditions_match_the_events_that_they_match_in_falco() {
    let Some(captures) = fixtures().map(|dir| dir.join("captures")) else { return };
    let records: Vec<AuditRecord> = events(&captures.join("audit.jsonl"))
        .into_iter()
        .zip(1..)
        .map(|(event, num)| record(event, num))
        .collect();
    let cases = lines(&captures.join("audit.conditions.jsonl"));
    let wrong: Vec<String> = cases[1..].iter().filter_map(|case| differs(case, &records)).collect();
    println!("{} conditions on {} events", cases.len() - 1, records.len());
    assert!(cases.len() > 1 && !records.is_empty());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn record(event: AuditEvent, num: u64) -> AuditRecord {
    let header = Header { num, ts: event.time, source: "k8s_audit", ..Header::default() };
    AuditRecord { header, json: event.json }
}

fn differs(case: &Value, records: &[AuditRecord]) -> Option<String> {
    let text = case["condition"].as_str().unwrap();
    let compiled =
        parse(text, MAX_DEPTH).and_then(|expr| Condition::compile(&expr, &schema(), K8S_AUDIT_SOURCE));
    let condition = match compiled {
        Ok(condition) => condition,
        Err(error) => return (case["compiles"] != false).then(|| format!("refused ({error}): {text}")),
    };
    let matching = records.iter().filter(|record| condition.matches(*record));
    let got: BTreeSet<String> =
        matching.map(|r| r.json.get("auditID").and_then(Json::as_str).unwrap().to_owned()).collect();
    let want = texts(&case["matches"]);
    (got != want).then(|| format!("{got:?} instead of {want:?}: {text}"))
}
