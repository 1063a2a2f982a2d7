//! The kinds of cases that are about conditions, outputs and names: the library is asked.

#[path = "../../../crates/rules/tests/support/record.rs"]
mod record;

use std::collections::BTreeMap;

use record::MapRecord;
use saker_events::schema;
use saker_rules::{
    compile::{Condition, too_many_event_types},
    diagnostic::TextError,
    event_types::EventTypeSet,
    limits::MAX_DEPTH,
    lint,
    load::{LoadOptions, SourceFile, load},
    parse::{self, parse},
    render,
    requirements::{Version, parse_version},
    schema::{Record as _, Schema, SourceId},
    select::{Selection, Selector, matches},
    template::Template,
};
use serde_json::{Value as Json, json};

const BLANKS: [&str; 4] = ["\t", "\n", "\r\n", "   "];

type Outcome = Result<(), String>;

/// `None` for a kind that is not ours.
pub(crate) fn run(case: &Json, schema: &Schema) -> Option<Outcome> {
    Some(match case["kind"].as_str()? {
        "filter_parse" => filter_parse(case),
        "filter_compile" => filter_compile(case, schema),
        "filter_eval" => filter_eval(case, schema),
        "filter_evttypes" => filter_evttypes(case, schema),
        "filter_evttypes_equal" => filter_evttypes_equal(case, schema),
        "string_literal" => string_literal(case),
        "escape_for_print" => escape_for_print(case),
        "pmatch" => pmatch(case, schema),
        "format_parse" => format_parse(case, schema),
        "format_render" => format_render(case, schema),
        "plugin_requirements" => plugin_requirements(case),
        "condition_warnings" => condition_warnings(case),
        "util" if case["function"] == "matches_wildcard" => {
            let found = matches(case["args"][0].as_str()?, case["args"][1].as_str()?);
            same("matches", found, case["expect"]["equals"] == true)
        }
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
        same("printed", format!("{:#}", parsed.unwrap()).as_str(), printed)?;
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
    let wanted = bytes(&case["expect"]).ok_or("no bytes")?;
    same("bytes", parsed.map_err(|e| e.to_string())?.as_slice(), &wanted)
}

/// How a condition prints a literal. What is printed, and what comes of it, may stand there as text or in hexadecimal.
fn escape_for_print(case: &Json) -> Outcome {
    let (value, wanted) = (bytes(case).ok_or("no value")?, bytes(&case["expect"]).ok_or("no print")?);
    let literal = value.iter().map(|byte| format!("\\x{byte:02x}")).collect::<Vec<_>>().concat();
    let tree = parse(&format!("a.b = \"{literal}\""), MAX_DEPTH).map_err(|e| e.to_string())?;
    let printed = format!("{tree:#}");
    same("printed", printed.strip_prefix("a.b = ").unwrap_or_default().as_bytes(), &wanted)
}

/// The one value of a case that is no name: `bytes_hex` or another `…hex`, else a text.
fn bytes(case: &Json) -> Option<Vec<u8>> {
    let is_name = |key: &str| matches!(key, "id" | "kind" | "upstream" | "note" | "literal");
    let mut texts = case.as_object()?.iter().filter(|(key, value)| !is_name(key) && value.is_string());
    let (key, value) = texts.next()?;
    let value = value.as_str()?;
    if !key.ends_with("hex") {
        return Some(value.as_bytes().to_vec());
    }
    (0..value.len()).step_by(2).map(|at| u8::from_str_radix(value.get(at..at + 2)?, 16).ok()).collect()
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
    let complete = if case["mode"] == "json" {
        let (fields, complete) = output_fields(&template, &record, lenient);
        out = if fields.is_empty() { "null".to_owned() } else { json!(fields).to_string() };
        complete
    } else if lenient {
        template.render(&record, &mut out);
        true
    } else {
        template.render_strict(&record, &mut out)
    };
    same("complete", complete, case["expect"]["complete"] == true)?;
    same("output", out.as_str(), case["expect"]["output"].as_str().unwrap())
}

/// The fields of an output up to the first that is absent, unless those are to be told as such; whether all are there.
fn output_fields(
    template: &Template,
    record: &MapRecord<'_>,
    lenient: bool,
) -> (BTreeMap<String, Json>, bool) {
    let mut fields = BTreeMap::new();
    for field in template.fields() {
        let spec = record.schema.field(field.id).unwrap();
        let value = record.field(field.id, field.arg.as_ref());
        if value.is_none() && !lenient {
            return (fields, false);
        }
        let value = value.map_or(Json::Null, |value| render::json(&value, spec.ty, spec.name));
        fields.insert(field.key.clone(), value);
    }
    (fields, true)
}

/// How many rules run, before and after selections.
pub(crate) fn check_enabled(case: &Json) -> Outcome {
    let expect = &case["expect"];
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let file = |f: &Json| SourceFile::new(f["file"].as_str().unwrap(), f["rules"].as_str().unwrap());
    let files: Vec<_> = list(&case["rules"]).iter().map(file).collect();
    let enabled = |ops: &Json| {
        let mut options = LoadOptions::new(schema());
        options.selection = list(ops).iter().map(selection).collect();
        load(&files, &options).enabled() as u64
    };
    if let Some(wanted) = expect["enabled_rules_default"].as_u64() {
        same("rules that run", enabled(&Json::Null), wanted)?;
    }
    // Rule sets beside the default one are not ours.
    let after = list(&expect["after_ops"]).into_iter().filter(|after| after["ruleset"] == "default");
    after.into_iter().try_for_each(|after| {
        let wanted = after["enabled"].as_u64().unwrap();
        same("rules that run then", enabled(&after["ops"]), wanted)
    })
}

/// `{op: enable, tag: …}`, `{op: disable, rule: …}`.
fn selection(op: &Json) -> Selection {
    let name = |key: &str| op[key].as_str().map(str::to_owned);
    let selector = Selector { rule: name("rule"), tag: name("tag") };
    if op["op"] == "enable" { Selection::Enable(selector) } else { Selection::Disable(selector) }
}

fn plugins(list: &Json) -> Vec<(String, Version)> {
    let plugin = |p: &Json| Some((p["name"].as_str()?.to_owned(), parse_version(p["version"].as_str()?)?));
    list.as_array().into_iter().flatten().filter_map(plugin).collect()
}

fn plugin_requirements(case: &Json) -> Outcome {
    let mut options = LoadOptions::new(schema());
    options.plugins = plugins(&case["plugins"]);
    let rules = &case["rules"];
    let rules = rules.as_str().or_else(|| rules[0]["rules"].as_str()).expect("rules");
    let satisfied = load(&[SourceFile::new("rules", rules)], &options).successful();
    same("satisfied", satisfied, case["expect"]["satisfied"] == true)
}

fn condition_warnings(case: &Json) -> Outcome {
    let tree = parse(case["filter"].as_str().unwrap(), MAX_DEPTH).map_err(|e| e.to_string())?;
    let found = lint::warnings(&tree);
    same("warns", !found.is_empty(), case["expect"]["warns"] == true)?;
    let codes: Json = found.iter().map(|w| w.code.name()).collect();
    same("codes", &codes, &case["expect"]["codes"])
}
