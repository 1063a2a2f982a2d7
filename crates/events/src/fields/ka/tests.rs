//! Field values: our own cases, and Falco's answers on recorded events.

use std::{collections::BTreeMap, fs, path::Path};

use saker_rules::{
    schema::{ArgRule, FieldArg},
    value::Value,
};
use serde::Deserialize;

use crate::{
    audit::{Json, event_time},
    fields::{FieldRow, Getter, json, ka},
    record::{AuditRecord, Header},
};

/// An event and the values of some fields; `null` means that there is none.
#[derive(Deserialize)]
struct Case {
    name: String,
    event: Json,
    fields: BTreeMap<String, serde_json::Value>,
}

fn rows() -> impl Iterator<Item = &'static FieldRow> {
    ka::PARTS.iter().copied().flatten().chain(json::ROWS)
}

fn record(json: Json) -> AuditRecord {
    let header = Header { ts: event_time(&json).unwrap_or(0), source: "k8s_audit", ..Header::default() };
    AuditRecord { header, json }
}

/// The value of `field` or `field[argument]`, as alerts show it.
fn value(record: &AuditRecord, field: &str) -> serde_json::Value {
    let (name, arg) = match field.split_once('[') {
        Some((name, arg)) => (name, arg.strip_suffix(']')),
        None => (field, None),
    };
    let row = rows().find(|row| row.spec.name == name).unwrap_or_else(|| panic!("no field {name}"));
    let arg = arg.map(|text| FieldArg { text: text.into(), index: text.parse().ok() });
    assert!(!(arg.is_some() && row.spec.arg == ArgRule::None), "{name} takes no argument");
    let Getter::Audit(get) = row.get else { panic!("{name} is not of audit events") };
    get(record, arg.as_ref()).map_or(serde_json::Value::Null, |value| plain(&value))
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => String::from_utf8_lossy(text).into(),
        Value::List(values) => values.iter().map(plain).collect(),
        other => panic!("audit fields are texts, not {other:?}"),
    }
}

#[test]
fn fields_have_the_values_of_the_cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/audit");
    for file in ["event.yaml", "pod.yaml", "rbac.yaml", "json.yaml"] {
        let cases: Vec<Case> = serde_saphyr::from_str(&fs::read_to_string(dir.join(file)).unwrap()).unwrap();
        assert!(!cases.is_empty());
        for Case { name, event, fields } in cases {
            let record = record(event);
            for (field, want) in fields {
                assert_eq!(value(&record, &field), want, "{file}: {name}: {field}");
            }
        }
    }
}

#[test]
fn names_are_unique_and_complete() {
    let mut names: Vec<_> = rows().map(|row| row.spec.name).collect();
    names.sort_unstable();
    names.dedup();
    let of = |class: &str| names.iter().filter(|name| name.starts_with(class)).count();
    assert_eq!((of("ka."), of("json."), of("jevt.")), (100, 3, 3), "specification §6");
    assert!(rows().all(|row| !row.spec.description.is_empty()));
}

/// Falco's answers lie outside the repository: the first line names the fields, each further one an event.
#[test]
#[expect(clippy::print_stdout, reason = "what was skipped or done is said")]
fn fields_have_the_values_that_falco_gives() {
    let Some(fixtures) = std::env::var_os("SAKER_FIXTURES") else {
        return println!("skipped: SAKER_FIXTURES not set");
    };
    let lines = |file: &str| {
        let text = fs::read_to_string(Path::new(&fixtures).join("captures").join(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let records: BTreeMap<String, AuditRecord> =
        fs::read_to_string(Path::new(&fixtures).join("captures/audit.jsonl"))
            .unwrap()
            .lines()
            .map(|line| record(serde_json::from_str(line).unwrap()))
            .map(|record| (record.json.get("auditID").and_then(Json::as_str).unwrap().to_owned(), record))
            .collect();
    let answers = lines("audit.fields.jsonl");
    let fields: Vec<_> = answers[0]["fields"].as_array().unwrap().iter().filter_map(|f| f.as_str()).collect();
    let mut compared = 0;
    for answer in &answers[1..] {
        let record = &records[answer["ka.auditid"].as_str().unwrap()];
        for field in fields.iter().filter(|field| !field.starts_with("evt.")) {
            assert_eq!(value(record, field), answer[field], "{} {field}", answer["ka.auditid"]);
            compared += 1;
        }
    }
    println!("{compared} values alike");
    assert!(compared > 1900);
}
