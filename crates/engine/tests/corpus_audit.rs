//! Kubernetes audit events against what Falco makes of them. The directory that SAKER_FIXTURES names holds
//! events, conditions with the events that match each, and replays of rules files.

#![allow(clippy::print_stdout, reason = "what was skipped or done is said")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use saker_engine::{AuditEngine, Options, RulesHandle};
use saker_events::{
    K8S_AUDIT_SOURCE,
    audit::{AuditEvent, Decoded, Json, Limits, decode},
    record::{AuditRecord, Header},
    schema,
};
use saker_rules::{
    compile::Condition,
    limits::MAX_DEPTH,
    load::{LoadOptions, SourceFile, load},
    parse::parse,
    ruleset::RuleSet,
};
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

#[test]
fn rules_alert_on_recorded_events_as_in_falco() {
    let Some(corpus) = fixtures().map(|dir| dir.join("corpus")) else { return };
    let files = ["c_k8s_audit_legacy.jsonl", "d_k8s_audit_testing.jsonl"];
    let cases: Vec<Value> = files.iter().flat_map(|file| lines(&corpus.join(file))).collect();
    let replays: Vec<&Value> =
        cases.iter().filter(|case| case["kind"] == "replay" && case["source"] == "k8s_audit").collect();
    let wrong: Vec<String> = replays.iter().filter_map(|case| replay(case, &corpus).err()).collect();
    println!("{} of {} replays alike", replays.len() - wrong.len(), replays.len());
    assert!(!replays.is_empty());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn replay(case: &Value, corpus: &Path) -> Result<(), String> {
    let (id, expect) = (&case["id"], &case["expect"]);
    let rules = rules(case, corpus).map_err(|why| format!("{id}: {why}"))?;
    let mut engine = AuditEngine::new(RulesHandle::new(rules), &Options::new("node"));
    let body = fs::read(corpus.join(case["events_file"].as_str().unwrap())).unwrap();
    let Decoded { events, rejected, .. } = decode(&body, &Limits::default());
    let mut counts = BTreeMap::new();
    for event in events {
        engine.event(event, &mut |alert| *counts.entry(alert.rule).or_insert(0) += 1);
    }
    let said: String = rejected.iter().map(ToString::to_string).collect();
    let refused = texts(&expect["stderr_matches"]).iter().all(|text| said.contains(text.as_str()));
    let wanted = expect["rule_counts"].as_object().is_none_or(|counted| {
        counted.iter().all(|(rule, count)| counts.get(rule) == count.as_u64().as_ref())
            && counted.len() == counts.len()
    });
    let any = expect["any_detection"].as_bool().is_none_or(|any| any != counts.is_empty());
    if refused && wanted && any {
        Ok(())
    } else {
        Err(format!("{id}: {counts:?} {said} instead of {expect}"))
    }
}

fn rules(case: &Value, corpus: &Path) -> Result<RuleSet, String> {
    let names = case["rules_files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap());
    let files: Vec<SourceFile> =
        names.map(|name| SourceFile::from_bytes(name, fs::read(corpus.join(name)).unwrap())).collect();
    let plugins = vec![("k8saudit".to_owned(), (0, 18, 0)), ("json".to_owned(), (0, 7, 4))];
    let loaded = load(&files, &LoadOptions { plugins, ..LoadOptions::new(schema()) });
    let errors: Vec<_> =
        loaded.files.iter().flat_map(|file| &file.errors).map(|e| format!("{e:?}")).collect();
    loaded.rules.and_then(Arc::into_inner).ok_or_else(|| errors.join("\n"))
}
