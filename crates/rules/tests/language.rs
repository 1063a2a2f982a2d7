//! Conditions and outputs, case by case (`tests/cases`), over a small schema.

#[path = "support/record.rs"]
mod record;
#[path = "support/small.rs"]
mod small;

use std::{collections::BTreeMap, fs, path::Path};

use record::MapRecord;
use saker_rules::{
    ast::Op,
    compile::{Condition, too_many_event_types},
    diagnostic::TextError,
    limits::MAX_DEPTH,
    parse::parse,
    schema::Schema,
    template::Template,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

fn cases<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Both<A, R> {
    accepted: Vec<A>,
    refused: Vec<R>,
}

fn check_error(text: &str, error: &TextError, wanted: &str, help: Option<&str>) {
    assert!(error.message.contains(wanted), "{text}: {error}");
    if let Some(help) = help {
        assert_eq!(error.help, help, "{text}");
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Same(String),
    Other { text: String, printed: Option<String>, compiled: Option<String> },
}

#[derive(Deserialize)]
struct ParseError {
    text: String,
    error: String,
    help: Option<String>,
}

#[test]
fn conditions_parse_and_print() {
    let Both { accepted, refused }: Both<Printed, ParseError> = cases("parse.yaml");
    for case in accepted {
        let (text, printed, compiled) = match case {
            Printed::Same(text) => (text, None, None),
            Printed::Other { text, printed, compiled } => (text, printed, compiled),
        };
        let tree = parse(&text, MAX_DEPTH).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(tree.to_string(), printed.unwrap_or_else(|| text.clone()), "{text}");
        if let Some(compiled) = compiled {
            assert_eq!(format!("{tree:#}"), compiled, "{text}");
        }
    }
    for case in refused {
        let error = parse(&case.text, MAX_DEPTH).expect_err(&case.text);
        check_error(&case.text, &error, &case.error, case.help.as_deref());
    }
}

#[derive(Deserialize)]
struct Compiled {
    condition: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct CompileError {
    condition: String,
    error: String,
    help: Option<String>,
}

fn compile(text: &str, schema: &Schema, source: &str) -> Result<Condition, TextError> {
    let source = schema.find_source(source).unwrap();
    Condition::compile(&parse(text, MAX_DEPTH).unwrap_or_else(|e| panic!("{text}: {e}")), schema, source)
}

#[test]
fn conditions_compile() {
    let schema = small::schema();
    let Both { accepted, refused }: Both<Compiled, CompileError> = cases("compile.yaml");
    for case in accepted {
        let source = case.source.as_deref().unwrap_or("syscall");
        let compiled = compile(&case.condition, &schema, source);
        let compiled = compiled.unwrap_or_else(|e| panic!("{}: {e}", case.condition));
        let warnings: Vec<_> = compiled.warnings().iter().map(|w| &w.message).collect();
        assert_eq!(warnings.len(), case.warnings.len(), "{}: {warnings:?}", case.condition);
        for (got, wanted) in warnings.iter().zip(&case.warnings) {
            assert!(got.starts_with(wanted), "{}: {got}", case.condition);
        }
    }
    for case in refused {
        let error = compile(&case.condition, &schema, "syscall").expect_err(&case.condition);
        check_error(&case.condition, &error, &case.error, case.help.as_deref());
    }
}

#[derive(Deserialize)]
struct Operators {
    fields: Vec<String>,
    literal: String,
    /// The operators that take it.
    accepted: Vec<String>,
}

/// A comparison by this operator, and the same with modifiers where the grammar has them.
fn comparisons(field: &str, op: Op, literal: &str) -> Vec<String> {
    let name = op.name();
    match op {
        Op::Exists => vec![format!("{field} {name}")],
        _ if op.takes_list() => vec![format!("{field} {name} ({literal})")],
        _ if op.is_order() => vec![format!("{field} {name} 1")],
        _ => ["", "oneof ", "anyof ", "allof "]
            .map(|m| if m.is_empty() { literal.to_owned() } else { format!("{m}({literal})") })
            .map(|right| format!("{field} {name} {right}"))
            .into(),
    }
}

#[test]
fn operators_fit_types() {
    let schema = small::schema();
    for case in cases::<Vec<Operators>>("operators.yaml") {
        for (field, op) in case.fields.iter().flat_map(|field| Op::ALL.map(|op| (field, op))) {
            let wanted = case.accepted.iter().any(|name| name == op.name());
            for text in comparisons(field, op, &case.literal) {
                let compiled = compile(&text, &schema, "syscall");
                assert_eq!(compiled.is_ok(), wanted, "{text}: {compiled:?}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Evaluated {
    event: BTreeMap<String, Json>,
    holds: Vec<String>,
    fails: Vec<String>,
}

#[test]
fn conditions_hold_or_fail() {
    let schema = small::schema();
    for case in cases::<Vec<Evaluated>>("evaluate.yaml") {
        let values = json!(case.event);
        let record = MapRecord { schema: &schema, values: &values };
        let check = |text: &str, wanted: bool| {
            let condition = compile(text, &schema, "syscall").unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(condition.matches(&record), wanted, "{text} on {values}");
        };
        case.holds.iter().for_each(|text| check(text, true));
        case.fails.iter().for_each(|text| check(text, false));
    }
}

#[derive(Deserialize)]
struct Typed {
    condition: String,
    types: Vec<String>,
    #[serde(default)]
    warning: bool,
}

#[test]
fn conditions_know_their_event_types() {
    let schema = small::schema();
    let source = schema.find_source("syscall").unwrap();
    for case in cases::<Vec<Typed>>("event_types.yaml") {
        let condition = compile(&case.condition, &schema, "syscall").unwrap();
        let ids = condition.event_types().iter();
        let names: Vec<_> = ids.map(|id| schema.event_types()[usize::from(id.0)].name).collect();
        assert_eq!(names, case.types, "{}", case.condition);
        let warning = too_many_event_types(&condition, &schema, source);
        assert_eq!(warning, case.warning, "{}", case.condition);
    }
}

#[derive(Deserialize)]
struct Rendered {
    format: String,
    text: String,
    strict: Option<String>,
    keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OutputError {
    format: String,
    error: String,
    help: Option<String>,
}

#[test]
fn outputs_render() {
    let schema = small::schema();
    let source = schema.find_source("syscall").unwrap();
    let values = json!({
        "proc.name": "bash", "proc.pid": 7, "evt.arg.name": "/x", "evt.arg[1]": "one", "fd.types": ["a", "b"],
        "evt.is_io": true, "fd.dev": 65024, "evt.reltime": 5, "fd.sip.name": ["api.example", "b.example"],
    });
    let record = MapRecord { schema: &schema, values: &values };
    let Both { accepted, refused }: Both<Rendered, OutputError> = cases("outputs.yaml");
    for case in accepted {
        let template = Template::compile(&case.format, &schema, source);
        let template = template.unwrap_or_else(|e| panic!("{}: {e}", case.format));
        let (mut text, mut strict) = (String::new(), String::new());
        template.render(&record, &mut text);
        assert_eq!(text, case.text, "{}", case.format);
        assert_eq!(template.render_strict(&record, &mut strict), !text.contains("<NA>"), "{}", case.format);
        assert!(case.strict.is_none_or(|wanted| wanted == strict), "{}: {strict}", case.format);
        let keys: Vec<_> = template.fields().map(|f| f.key.clone()).collect();
        assert!(case.keys.is_none_or(|wanted| wanted == keys), "{}: {keys:?}", case.format);
    }
    for case in refused {
        let error = Template::compile(&case.format, &schema, source).expect_err(&case.format);
        check_error(&case.format, &error, &case.error, case.help.as_deref());
    }
}
