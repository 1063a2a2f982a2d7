//! The conformance cases of the directory that SAKER_FIXTURES names (`corpus/*.jsonl`, with the tables in
//! `../spec`), as far as they concern conditions and outputs.

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
    compile::{Condition, too_many_event_types},
    diagnostic::TextError,
    event_types::EventTypeSet,
    limits::MAX_DEPTH,
    parse,
    schema::{Schema, SourceId},
    template::Template,
};
use serde_json::Value as Json;

const BLANKS: [&str; 4] = ["\t", "\n", "\r\n", "   "];

#[test]
fn the_conformance_cases_hold() {
    let Some(fixtures) = env::var_os("SAKER_FIXTURES").map(PathBuf::from) else {
        println!("skipped: SAKER_FIXTURES not set");
        return;
    };
    let schema = support::schema(&fixtures.join("../spec"));
    let cases = cases(&fixtures.join("corpus"));
    let mut failures = Vec::new();
    let mut count = 0;
    for case in &cases {
        if let Some(result) = run(case, &schema) {
            count += 1;
            failures.extend(result.err().map(|why| format!("{}: {why}\n    {case}", case["id"])));
        }
    }
    assert!(count > 0, "no cases in {}", fixtures.display());
    println!("{} of {count} cases hold", count - failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

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

fn cases(directory: &Path) -> Vec<Json> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).flat_map(|p| lines(&p)).collect()
}

fn lines(file: &Path) -> Vec<Json> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

type Outcome = Result<(), String>;

/// `None` for a kind that is not ours.
fn run(case: &Json, schema: &Schema) -> Option<Outcome> {
    Some(match case["kind"].as_str()? {
        "filter_parse" => filter_parse(case),
        "filter_compile" => filter_compile(case, schema),
        "filter_eval" => filter_eval(case, schema),
        "filter_evttypes" => filter_evttypes(case, schema),
        "filter_evttypes_equal" => filter_evttypes_equal(case, schema),
        "string_literal" => string_literal(case),
        "pmatch" => pmatch(case, schema),
        "format_parse" => format_parse(case, schema),
        "format_render" => format_render(case, schema),
        _ => return None,
    })
}

fn same<T: PartialEq + Copy + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{what} is {got:?}, not {wanted:?}")) }
}

fn message_holds(case: &Json, error: Option<&TextError>) -> Outcome {
    let (Some(wanted), Some(error)) = (case["expect"]["message"].as_str(), error) else { return Ok(()) };
    if error.message.contains(wanted) { Ok(()) } else { Err(format!("the message is '{error}'")) }
}

fn filter_parse(case: &Json) -> Outcome {
    let filter = case["filter"].as_str().unwrap();
    let parsed = parse::parse(filter, MAX_DEPTH);
    same("accepted", parsed.is_ok(), case["expect"]["accept"] == true)
        .map_err(|e| format!("{e} {parsed:?}"))?;
    message_holds(case, parsed.as_ref().err())?;
    if let Some(printed) = case["expect"]["as_string"].as_str() {
        same("printed", parsed.unwrap().to_string().as_str(), printed)?;
    }
    if case["whitespace_variants"] != true {
        return Ok(());
    }
    BLANKS.iter().try_for_each(|blank| {
        let variant = format!("{blank}{filter}{blank}");
        parse::parse(&variant, MAX_DEPTH).map(drop).map_err(|e| format!("{variant:?}: {e}"))
    })
}

fn source(case: &Json, schema: &Schema) -> SourceId {
    schema.find_source(case["source"].as_str().unwrap_or("syscall")).unwrap()
}

fn compile(filter: &str, schema: &Schema, source: SourceId) -> Result<Condition, TextError> {
    Condition::compile(&parse::parse(filter, MAX_DEPTH)?, schema, source)
}

fn filter_compile(case: &Json, schema: &Schema) -> Outcome {
    let compiled = compile(case["filter"].as_str().unwrap(), schema, source(case, schema));
    same("compiles", compiled.is_ok(), case["expect"]["compiles"] == true)
        .map_err(|e| format!("{e} {compiled:?}"))?;
    message_holds(case, compiled.as_ref().err())?;
    match (compiled, case["expect"]["compile_warnings"].as_u64()) {
        (Ok(condition), Some(wanted)) => same("warnings", condition.warnings().len() as u64, wanted),
        _ => Ok(()),
    }
}

fn filter_eval(case: &Json, schema: &Schema) -> Outcome {
    let compiled = compile(case["filter"].as_str().unwrap(), schema, source(case, schema));
    let record = MapRecord { schema, values: &case["event"] };
    let matches = compiled.map_err(|e| e.to_string())?.matches(&record);
    same("matches", matches, case["expect"]["matches"] == true)
}

fn filter_evttypes(case: &Json, schema: &Schema) -> Outcome {
    let source = source(case, schema);
    let condition = compile(case["filter"].as_str().unwrap(), schema, source).map_err(|e| e.to_string())?;
    let wanted = event_set(case["expect"]["event_set"].as_str().unwrap(), schema);
    same("event types", condition.event_types(), &wanted)?;
    let warning = too_many_event_types(&condition, schema, source);
    same("warning", warning, case["expect"]["too_many_evttypes_warning"] == true)
}

/// `ALL`, `NONE`, `{a, b}` or `ALL - {a, b}`.
fn event_set(text: &str, schema: &Schema) -> EventTypeSet {
    match text.strip_prefix("ALL - ") {
        Some(rest) => event_set(rest, schema).complement(),
        None if text == "ALL" => EventTypeSet::all(schema),
        None => {
            let mut set = EventTypeSet::none(schema);
            let names = text.trim_matches(['{', '}']).split(',').map(str::trim);
            names.filter(|n| *n != "NONE").for_each(|n| set.insert(schema.find_event_type(n).unwrap()));
            set
        }
    }
}

fn filter_evttypes_equal(case: &Json, schema: &Schema) -> Outcome {
    let sets = ["filter", "filter2"].map(|key| {
        let condition = compile(case[key].as_str().unwrap(), schema, source(case, schema));
        condition.map(|c| c.event_types().clone()).map_err(|e| e.to_string())
    });
    let [first, second] = sets;
    same("equal", first? == second?, case["expect"]["same_event_set"] == true)
}

fn string_literal(case: &Json) -> Outcome {
    let parsed = parse::parse_literal(case["literal"].as_str().unwrap());
    if case["expect"]["error"] == true {
        return same("error", parsed.is_err(), true);
    }
    let hex = case["expect"]["bytes_hex"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let wanted: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    same("bytes", parsed.map_err(|e| e.to_string())?.as_slice(), &wanted)
}

fn pmatch(case: &Json, schema: &Schema) -> Outcome {
    let paths: Vec<_> = case["paths"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let filter = format!("proc.exepath pmatch ({})", paths.join(", "));
    let condition = compile(&filter, schema, SourceId(0)).map_err(|e| e.to_string())?;
    let values = serde_json::json!({ "proc.exepath": case["probe"] });
    same(
        "matches",
        condition.matches(&MapRecord { schema, values: &values }),
        case["expect"]["matches"] == true,
    )
}

/// A leading `*` asks for `<NA>` instead of stopping at an absent value.
fn template(case: &Json, schema: &Schema) -> Result<(Template, bool), TextError> {
    let text = case["format"].as_str().unwrap();
    let (text, lenient) = text.strip_prefix('*').map_or((text, false), |t| (t, true));
    Ok((Template::compile(text, schema, source(case, schema))?, lenient))
}

fn format_parse(case: &Json, schema: &Schema) -> Outcome {
    let compiled = template(case, schema);
    same("accepted", compiled.is_ok(), case["expect"]["accept"] == true)
        .map_err(|e| format!("{e} {compiled:?}"))
}

fn format_render(case: &Json, schema: &Schema) -> Outcome {
    let (template, lenient) = template(case, schema).map_err(|e| e.to_string())?;
    let record = MapRecord { schema, values: &case["fields"] };
    let mut out = String::new();
    let complete = if lenient {
        template.render(&record, &mut out);
        true
    } else {
        template.render_strict(&record, &mut out)
    };
    same("complete", complete, case["expect"]["complete"] == true)?;
    same("output", out.as_str(), case["expect"]["output"].as_str().unwrap())
}
