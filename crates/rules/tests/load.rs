//! Rules files, case by case (`tests/cases/load`), over a small schema.

#[path = "support/small.rs"]
mod small;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use proptest::prelude::*;
use saker_rules::{
    append_output::AppendOutput,
    binding::Binding,
    describe::{describe, describe_rule},
    diagnostic::Diagnostic,
    limits::MAX_FILE_BYTES,
    load::{LoadOptions, Loaded, Mode, SourceFile, load},
    report,
    schema::SourceId,
    select::Selection,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Files in; what is found and what is loaded out. The files are called 0, 1, ….
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    files: Vec<String>,
    /// What sets a file apart, by its name.
    #[serde(default)]
    bindings: BTreeMap<String, Binding>,
    #[serde(default)]
    quarantine: bool,
    #[serde(default)]
    selection: Vec<Selection>,
    #[serde(default)]
    append_output: Vec<AppendOutput>,
    min_priority: Option<u8>,
    /// `CODE file:line:column message`, lines and columns from 1; the message may be cut off.
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
    /// `item_type name`.
    #[serde(default)]
    quarantined: Vec<String>,
    /// `rule field`.
    #[serde(default)]
    blind: Vec<String>,
    /// `rule text` of what `fd.sip.name` is compared with, sorted.
    #[serde(default)]
    compared: Vec<String>,
    compiled: Option<usize>,
    enabled: Option<usize>,
    /// What the last help says.
    help: Option<String>,
    /// JSON pointers into the description.
    #[serde(default)]
    describe: BTreeMap<String, Json>,
}

fn options(mode: Mode) -> LoadOptions {
    let plugins = vec![("json".to_owned(), (0, 7, 4))];
    LoadOptions { mode, plugins, ..LoadOptions::new(Arc::new(small::schema())) }
}

fn file(name: &str, text: &str, bindings: &BTreeMap<String, Binding>) -> SourceFile {
    SourceFile { binding: bindings.get(name).cloned(), ..SourceFile::new(name, text) }
}

fn check(name: &str, case: Case) {
    let files: Vec<_> =
        (0..).zip(&case.files).map(|(i, text)| file(&i.to_string(), text, &case.bindings)).collect();
    let mut options = options(if case.quarantine { Mode::Quarantine } else { Mode::Strict });
    options.min_priority = case.min_priority.unwrap_or(7);
    (options.selection, options.append_output) = (case.selection, case.append_output);
    let loaded = load(&files, &options);
    let text = format!("{name}\n{}", report::text(&loaded.files));
    check_diagnostics(&loaded.files.iter().flat_map(|f| &f.errors).collect::<Vec<_>>(), &case.errors, &text);
    check_diagnostics(
        &loaded.files.iter().flat_map(|f| &f.warnings).collect::<Vec<_>>(),
        &case.warnings,
        &text,
    );
    let quarantined: Vec<_> =
        loaded.quarantined.iter().map(|q| format!("{} {}", q.item_type, q.name)).collect();
    assert_eq!(quarantined, case.quarantined, "{text}");
    let blind: Vec<_> = loaded.blind.iter().map(|blind| format!("{} {}", blind.rule, blind.field)).collect();
    assert_eq!(blind, case.blind, "{text}");
    assert_eq!(compared(&loaded, &options), case.compared, "{text}");
    assert_eq!(loaded.compiled(), case.compiled.unwrap_or(loaded.compiled()), "{text}");
    assert_eq!(loaded.enabled(), case.enabled.unwrap_or(loaded.enabled()), "{text}");
    assert_eq!(loaded.rules.is_some(), case.quarantine || case.errors.is_empty(), "{text}");
    if let Some(help) = case.help {
        let all = loaded.files.iter().flat_map(|file| file.errors.iter().chain(&file.warnings));
        assert_eq!(all.last().unwrap().help, help, "{text}");
    }
    check_description(&loaded, &case.describe, &text);
}

fn compared(loaded: &Loaded, options: &LoadOptions) -> Vec<String> {
    let field = options.schema.find_field(SourceId(0), "fd.sip.name");
    let rules = loaded.compared(SourceId(0), |id| Some(id) == field);
    let texts = rules.flat_map(|(rule, texts)| texts.into_iter().map(move |text| (rule, text)));
    let mut texts: Vec<_> =
        texts.map(|(rule, text)| format!("{rule} {}", String::from_utf8_lossy(text))).collect();
    texts.sort();
    texts
}

fn check_diagnostics(found: &[&Diagnostic], wanted: &[String], text: &str) {
    let lines: Vec<_> = found.iter().map(|d| line(d)).collect();
    let same =
        lines.len() == wanted.len() && lines.iter().zip(wanted).all(|(line, w)| line.starts_with(w.as_str()));
    assert!(same, "{text}\nfound {lines:#?}\nwanted {wanted:#?}");
}

fn line(diagnostic: &Diagnostic) -> String {
    let at = &diagnostic.locations.last().unwrap().position;
    let (line, column) = (at.line + 1, at.column + 1);
    format!("{} {}:{line}:{column} {}", diagnostic.code.name(), at.name, diagnostic.message)
}

fn check_description(loaded: &Loaded, wanted: &BTreeMap<String, Json>, text: &str) {
    let description = describe(loaded);
    for (pointer, wanted) in wanted {
        let found = description.pointer(pointer).unwrap_or(&Json::Null);
        assert_eq!(found, wanted, "{pointer}\n{text}");
    }
}

#[test]
fn files_load_or_say_why_not() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/load");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let cases: BTreeMap<String, Case> =
            serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (name, case) in cases {
            check(&format!("{}: {name}", path.display()), case);
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn what_cannot_be_read_is_reported_like_the_rest() {
    let good = "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: x\n  priority: info\n";
    let files = [
        SourceFile::unreadable("gone", "no such file"),
        SourceFile::from_bytes("latin", b"- list: \xe9".to_vec()),
        SourceFile::new("large", "x".repeat(MAX_FILE_BYTES + 1)),
        SourceFile::new("good", good),
    ];
    let loaded = load(&files, &options(Mode::Quarantine));
    let json = report::json(&loaded.files);
    let codes = |i: usize| json["falco_load_results"][i]["errors"][0]["code"].clone();
    assert_eq!([codes(0), codes(1)], ["LOAD_ERR_FILE_READ", "LOAD_ERR_FILE_READ"]);
    assert_eq!(codes(2), "LOAD_ERR_YAML_PARSE");
    assert_eq!(json["falco_load_results"][3]["successful"], true);
    assert_eq!((loaded.enabled(), loaded.quarantined.len()), (1, 3));
    assert!(load(&files, &options(Mode::Strict)).rules.is_none());
    assert_eq!(load(&[], &options(Mode::Strict)).rules.unwrap().rules().len(), 0);
}

#[test]
fn reports_have_falcos_shape() {
    let text =
        "- rule: r\n  desc: d\n  condition: evt.tipe = open\n  output: x\n  priority: info\n- {x: y}\n";
    let loaded = load(&[SourceFile::new("f.yaml", text)], &options(Mode::Strict));
    let result = report::json(&loaded.files)["falco_load_results"][0].clone();
    assert_eq!((&result["name"], &result["successful"]), (&json!("f.yaml"), &json!(false)));
    assert_eq!(
        (&result["schema_valid"], result["schema_warnings"].as_array().unwrap().len()),
        (&json!(false), 1)
    );
    let error = &result["errors"][0];
    assert_eq!(error["codedesc"], "Error compiling condition");
    let types: Vec<_> =
        error["context"]["locations"].as_array().unwrap().iter().map(|l| &l["item_type"]).collect();
    assert_eq!(types, ["rules content", "rule", "rule condition", "condition expression"]);
    let position = json!({"name": "f.yaml", "line": 2, "column": 13, "offset": 33});
    assert_eq!(error["context"]["locations"][3]["position"], position);
    assert_eq!(error["context"]["snippet"], "  condition: evt.tipe = open\n             ^\n");
    let text = report::text(&loaded.files);
    assert!(
        text.starts_with(
            "f.yaml: Invalid\n1 Error:\nIn rules content: (f.yaml:1:1)\n   rule 'r': (f.yaml:1:3)\n"
        ),
        "{text}"
    );
    assert!(text.contains("help: did you mean 'evt.type'?"), "{text}");
}

#[test]
fn one_rule_can_be_described() {
    let text = "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: x\n  priority: info\n";
    let loaded = load(&[SourceFile::new("f", text)], &options(Mode::Strict));
    assert_eq!(describe_rule(&loaded, "r").unwrap()["info"]["priority"], "Informational");
    assert_eq!(describe_rule(&loaded, "s"), None);
}

#[test]
fn macros_do_not_explode() {
    let mut text = String::from("- macro: m0\n  condition: proc.pid = 1 or proc.pid = 2\n");
    for i in 1..40 {
        text += &[
            "- macro: m",
            &i.to_string(),
            "\n  condition: m",
            &(i - 1).to_string(),
            " or m",
            &(i - 1).to_string(),
            "\n",
        ]
        .concat();
    }
    let loaded = load(&[SourceFile::new("bomb", text)], &options(Mode::Quarantine));
    assert!(loaded.files[0].errors[0].message.contains("50000 checks"));
}

/// A file with a rule whose condition has so many comparisons that the load has no room for two of them.
fn greedy(name: &str) -> SourceFile {
    let rule = |i| {
        let checks = vec!["proc.pid = 1"; 10_000].join(" or ");
        format!("- rule: {name}{i}\n  desc: d\n  output: x\n  priority: info\n  condition: {checks}\n")
    };
    SourceFile::new(name, (0..12).map(rule).collect::<String>())
}

#[test]
fn a_file_that_wants_too_much_is_left_out_alone() {
    let good = |name: &str| {
        let text = "desc: d\n  output: x\n  priority: info\n  condition: proc.name = a and proc.pid = 1\n";
        SourceFile::new(name, format!("- rule: {name}\n  {text}"))
    };
    let files = [greedy("g"), good("one"), greedy("h"), good("two")];
    let loaded = load(&files, &options(Mode::Quarantine));
    let failed: Vec<_> = loaded.files.iter().map(|file| !file.successful()).collect();
    assert_eq!(failed, [true, false, true, false]);
    assert!(loaded.files[0].errors[0].message.contains("all rules together"));
    let running: Vec<_> = loaded.rules.as_ref().unwrap().rules().iter().map(|r| &*r.info.name).collect();
    assert!(running.ends_with(&["one", "h0", "two"]), "{running:?}");
}

/// Pieces that rules files are made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "- ",
        "rule: ",
        "macro: ",
        "list: ",
        "condition: ",
        "items: ",
        "exceptions: ",
        "override: ",
        "append: true",
        "r",
        "m",
        "l",
        "evt.type = open",
        "l, m",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\n",
        "  ",
        "\n- ",
        "\n  ",
        "&a ",
        "*a",
        "not (",
        ")",
        "and m",
        "in (l)",
        "'",
        "\"",
        ">",
        "|",
        "\t",
        "\0",
        "é",
        "---\n",
        "name: x",
        "values: [[a]]",
        "fields: [proc.name]",
        "enabled: no",
        "output: '%proc.name'",
        "priority: info",
        "desc: d",
        "#",
        "%",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(texts in prop::collection::vec(prop_oneof![pieces(), any::<String>()], 0..3)) {
        let files: Vec<_> = texts.into_iter().map(|text| SourceFile::new("f", text)).collect();
        for mode in [Mode::Strict, Mode::Quarantine] {
            let loaded = load(&files, &options(mode));
            report::text(&loaded.files);
            report::json(&loaded.files);
            describe(&loaded);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load(&[SourceFile::from_bytes("f", bytes)], &options(Mode::Strict));
    }
}
