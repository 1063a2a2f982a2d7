//! What holds for any text: nothing panics, and the printed form of a condition means the same.

#[path = "support/record.rs"]
mod record;
#[path = "support/small.rs"]
mod small;

use std::thread;

use proptest::prelude::*;
use record::MapRecord;
use saker_rules::{
    compile::Condition, limits::MAX_DEPTH, parse::parse, schema::SourceId, template::Template,
};
use serde_json::json;

/// Words that get far into the grammar.
const WORDS: [&str; 44] = [
    "a",
    "and ",
    "or ",
    "or(",
    "not ",
    "not(",
    "(",
    ")",
    ",",
    " ",
    "'",
    "\"",
    "\\",
    "\\x4",
    "[",
    "]",
    "=",
    "!=",
    ">= ",
    "-1",
    "0x1f",
    "1e+5",
    "proc.name",
    "evt.arg[1]",
    "evt.arg.x",
    "fd.types",
    "fd.net",
    "exists",
    "in ",
    "pmatch ",
    "glob ",
    "regex ",
    "bcontains ",
    "val(",
    "tolower(",
    "join(",
    "getopt(",
    "b64(",
    "anyof ",
    "10.0.0.0/8",
    "é",
    "*",
    "{2}",
    "%",
];

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40).prop_map(|w| w.concat())
}

/// A value in quotes. Parentheses and commas are left out: the reference prints them without quotes.
fn quoted() -> impl Strategy<Value = String> + Clone {
    let byte = prop_oneof![
        "[a-z é=*|'.-]",
        Just("\\\\".to_owned()),
        Just("\\\"".to_owned()),
        Just("\\t".to_owned()),
        (0_u8..).prop_filter("brackets", |b| !b"(),".contains(b)).prop_map(|b| format!("\\x{b:02x}")),
    ];
    prop::collection::vec(byte, 0..8)
        .prop_map(|parts| format!("\"{}\"", parts.concat().trim_end_matches('\\')))
}

fn check() -> impl Strategy<Value = String> {
    let left = prop::sample::select(
        &[
            "proc.name",
            "evt.arg['x y']",
            "evt.arg[a]",
            "tolower(proc.name)",
            "join(\"\\\\x\", (proc.name, 1))",
        ][..],
    );
    let list = prop::collection::vec(quoted(), 0..4).prop_map(|v| format!("({})", v.join(", "))).boxed();
    let right = prop_oneof![
        quoted().prop_map(|v| format!("= {v}")),
        quoted().prop_map(|v| format!("icontains {v}")),
        list.clone().prop_map(|v| format!("in {v}")),
        list.prop_map(|v| format!("!= allof {v}")),
        Just("exists".to_owned()),
        Just("glob val(proc.name)".to_owned()),
    ];
    (left, right).prop_map(|(left, right)| format!("{left} {right}"))
}

fn condition() -> impl Strategy<Value = String> {
    check().prop_recursive(5, 30, 4, |inner| {
        let members = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            members.clone().prop_map(|m| format!("({})", m.join(" and "))),
            members.prop_map(|m| format!("({})", m.join(" or "))),
            inner.prop_map(|i| format!("not {i}")),
        ]
    })
}

fn print(text: &str) -> String {
    parse(text, MAX_DEPTH).unwrap().to_string()
}

/// The parser drops `not not`, but keeps `not (not …)`, which is printed alike.
fn without_double_negations(text: &str) -> String {
    text.replace("not not ", "")
}

fn try_everything(text: &str) {
    let schema = small::schema();
    let values = json!({ "proc.name": text, "fd.types": [text], "evt.arg.x": text });
    let record = MapRecord { schema: &schema, values: &values };
    for source in [SourceId(0), SourceId(1)] {
        if let Ok(template) = Template::compile(text, &schema, source) {
            template.render(&record, &mut String::new());
        }
        let parsed = parse(text, MAX_DEPTH);
        if let Ok(condition) = parsed.and_then(|e| Condition::compile(&e, &schema, source)) {
            condition.matches(&record);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused(text in ".*") {
        try_everything(&text);
    }

    #[test]
    fn any_words_are_accepted_or_refused(text in words()) {
        try_everything(&text);
    }

    #[test]
    fn any_value_is_accepted_or_refused(operator in prop::sample::select(&["regex", "glob", "iglob", "pmatch"][..]), value in quoted()) {
        try_everything(&format!("proc.name {operator} {value}"));
    }

    #[test]
    fn the_printed_form_means_the_same(text in condition()) {
        let printed = print(&text);
        prop_assert_eq!(without_double_negations(&print(&printed)), without_double_negations(&printed));
    }
}

fn nested(open: &str, depth: usize) -> String {
    let parentheses = depth * open.matches('(').count();
    format!("{}proc.name = a{}", open.repeat(depth), ")".repeat(parentheses))
}

/// `levels`: of the tree for one opening.
fn check_deep(open: &str, levels: usize, wanted: bool) {
    let schema = small::schema();
    let values = json!({ "proc.name": "a" });
    let record = MapRecord { schema: &schema, values: &values };
    let parsed = parse(&nested(open, MAX_DEPTH / levels), MAX_DEPTH).unwrap();
    let condition = Condition::compile(&parsed, &schema, SourceId(0)).unwrap();
    assert_eq!(condition.matches(&record), wanted, "{open}");
    assert_eq!(print(&parsed.to_string()), without_double_negations(&parsed.to_string()), "{open}");
}

#[test]
fn deep_nesting_needs_little_stack() {
    let refused = parse(&nested("(", MAX_DEPTH + 1), MAX_DEPTH).unwrap_err();
    assert!(refused.message.contains("max depth"), "{refused}");
    let work = || {
        check_deep("(", 1, true);
        check_deep("not(", 3, false);
        check_deep("(proc.pname = b or ", 1, true);
        check_deep("(proc.pname = b or proc.name = a and ", 2, true);
        check_deep("(proc.pname = b or proc.name = a and not(", 3, false);
    };
    thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}
