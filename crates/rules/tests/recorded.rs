//! Conditions on recorded events, in the directory that SAKER_FIXTURES names (`captures/*`, with the tables in
//! `../spec`).

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "support/record.rs"]
mod record;
mod support;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use record::MapRecord;
use saker_rules::{
    compile::Condition,
    diagnostic::TextError,
    limits::MAX_DEPTH,
    parse,
    schema::{Schema, SourceId},
};
use serde_json::Value as Json;

/// Random conditions over recorded events, with the verdicts of the reference implementation.
#[test]
fn the_recorded_conditions_hold() {
    let Some(fixtures) = env::var_os("SAKER_FIXTURES").map(PathBuf::from) else {
        println!("skipped: SAKER_FIXTURES not set");
        return;
    };
    let schema = support::schema(&fixtures.join("../spec"));
    for name in ["busy", "audit"] {
        let conditions = lines(&fixtures.join(format!("captures/{name}.conditions.jsonl")));
        let events = lines(&fixtures.join(format!("captures/{name}.fields.jsonl")));
        let (head, cases) = conditions.split_first().unwrap();
        // The table tells the time between the events of a sample, not of the recording.
        let cases: Vec<_> = cases.iter().filter(|c| !c.to_string().contains("evt.deltatime")).collect();
        let failures: Vec<_> =
            cases.iter().filter_map(|c| recorded(c, head, &events, &schema).err()).collect();
        println!("{name}: {} of {} conditions hold", cases.len() - failures.len(), cases.len());
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

fn recorded(case: &Json, head: &Json, events: &[Json], schema: &Schema) -> Outcome {
    let compiled = compile(case["condition"].as_str().unwrap(), schema, source(head, schema));
    if case["compiles"] == false {
        return same("compiles", compiled.is_ok(), false).map_err(|e| format!("{e}: {case}"));
    }
    let condition = compiled.map_err(|e| format!("{e}: {case}"))?;
    let key = head["key"].as_str().unwrap();
    let chosen = head["events"].as_array().unwrap();
    for event in events.iter().filter(|e| chosen.contains(&e[key])) {
        let matches = condition.matches(&MapRecord { schema, values: event });
        let wanted = case["matches"].as_array().unwrap().contains(&event[key]);
        same("matches", matches, wanted).map_err(|e| format!("{} {e}: {}", event[key], case["condition"]))?;
    }
    Ok(())
}

fn lines(file: &Path) -> Vec<Json> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

type Outcome = Result<(), String>;

fn same<T: PartialEq + Copy + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{what} is {got:?}, not {wanted:?}")) }
}

fn source(case: &Json, schema: &Schema) -> SourceId {
    schema.find_source(case["source"].as_str().unwrap_or("syscall")).unwrap()
}

fn compile(filter: &str, schema: &Schema, source: SourceId) -> Result<Condition, TextError> {
    Condition::compile(&parse::parse(filter, MAX_DEPTH)?, schema, source)
}
