//! Runs the cases of a compatibility corpus that `saker` can be asked from outside: loading, validation and the
//! replay of audit events and captures; and of the library those about conditions and outputs. `SAKER_FIXTURES` names the folder
//! that holds `corpus/`; without it there is nothing to run. What holds stands in tests/cases/corpus.passing, a list
//! that only grows; what does not in tests/cases/corpus_misses.tsv, each with the reason.

#![allow(clippy::print_stderr, reason = "it reports how many cases hold")]

mod common;
#[path = "corpus/library.rs"]
mod library;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use common::{Files, Ran, root, saker};
use regex::Regex;
use saker_events::schema;
use serde_json::{Value, json};

type Checked = Result<(), String>;

#[test]
fn corpus() {
    let Some(fixtures) = std::env::var_os("SAKER_FIXTURES") else {
        eprintln!("skipped: SAKER_FIXTURES not set");
        return;
    };
    let corpus = Path::new(&fixtures).join("corpus");
    let (mut passing, mut failing) = (BTreeSet::new(), BTreeMap::new());
    for file in files(&corpus) {
        let cases = cases(&file);
        let before = passing.len();
        for case in &cases {
            let id = text(case, "id").to_owned();
            match check(&corpus, case) {
                Ok(()) => drop(passing.insert(id)),
                Err(reason) => drop(failing.insert(id, reason)),
            }
        }
        let name = file.file_stem().unwrap_or_default().display();
        eprintln!("{name}: {} of {} cases hold", passing.len() - before, cases.len());
    }
    ratchet(&passing, &failing);
}

/// Compares with the lists of what holds, which only grows, and of what does not, with the reasons.
fn ratchet(passing: &BTreeSet<String>, failing: &BTreeMap<String, String>) {
    let path = root().join("cli/tests/cases/corpus.passing");
    let known: BTreeSet<_> =
        fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let all: Vec<_> = known.union(passing).map(String::as_str).collect();
        fs::write(&path, all.join("\n") + "\n").expect("the list of what holds");
        return;
    }
    let reasons = known_misses();
    for (id, reason) in failing.iter().filter(|(id, _)| !reasons.contains_key(*id)) {
        eprintln!("{id}: {reason}");
    }
    let lost: Vec<_> = failing.iter().filter(|(id, _)| known.contains(*id)).collect();
    assert!(lost.is_empty(), "these cases held before: {lost:#?}");
    let new: Vec<_> = passing.difference(&known).collect();
    assert!(new.is_empty(), "these cases hold now: run with UPDATE_EXPECT=1 to keep them: {new:?}");
    let unexplained: Vec<_> = failing.iter().filter(|(id, _)| !reasons.contains_key(*id)).collect();
    assert!(unexplained.is_empty(), "cases/corpus_misses.tsv has no reason for {unexplained:#?}");
    let explained: Vec<_> = passing.iter().filter(|id| reasons.contains_key(*id)).collect();
    assert!(explained.is_empty(), "these hold: take them off cases/corpus_misses.tsv: {explained:?}");
}

/// `id TAB reason` a line.
fn known_misses() -> BTreeMap<String, String> {
    let path = root().join("cli/tests/cases/corpus_misses.tsv");
    let text = fs::read_to_string(path).expect("the list of known misses");
    let pair = |line: &str| line.split_once('\t').map(|(id, why)| (id.to_owned(), why.to_owned()));
    text.lines().map(|line| pair(line).expect("an id, a tab and a reason")).collect()
}

fn files(corpus: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort();
    files
}

fn cases(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a file of cases");
    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a case")).collect()
}

fn check(corpus: &Path, case: &Value) -> Checked {
    if case.get("superseded_by").is_some() {
        return Err("superseded".to_owned());
    }
    match text(case, "kind") {
        "rules_load" => check_load(case),
        "validate" => check_validation(corpus, case),
        "replay" => check_replay(corpus, case),
        "live_syscall" => Err("needs a kernel".to_owned()),
        _ => library::run(case, &schema()).unwrap_or_else(|| Err("no runner".to_owned())),
    }
}

// === rules_load ===

fn check_load(case: &Value) -> Checked {
    let files = Files::new([]);
    let mut paths = Vec::new();
    for (index, file) in array(&case["rules"]).enumerate() {
        let path = files.path(&format!("{index}_{}", text(file, "file")));
        fs::write(&path, text(file, "rules")).expect("a rules file");
        paths.push(path);
    }
    let expect = &case["expect"];
    let ran = saker(arguments(&["rules", "validate", "--json"], &paths));
    let report = ran.json();
    if let Some(load_ok) = expect["load_ok"].as_bool() {
        same("load_ok", &load_ok, &(ran.code() == 0))?;
    }
    if let Some(wanted) = expect["schema_validation"].as_str() {
        let valid = array(&report["falco_load_results"]).all(|result| result["schema_valid"] != false);
        same("schema_validation", &wanted, &if valid { "ok" } else { "failed" })?;
    }
    library::check_enabled(case)?;
    check_messages(expect, "error", &report)?;
    check_messages(expect, "warning", &report)?;
    if let Some(wanted) = expect["has_warnings"].as_bool() {
        same("has_warnings", &wanted, &(details(&report, "warnings").count() > 0))?;
    }
    if expect.get("describe").is_some() || expect.get("compiled_condition").is_some() {
        check_description(expect, &saker(arguments(&["rules", "describe", "--json"], &paths)))?;
    }
    Ok(())
}

fn check_messages(expect: &Value, kind: &str, report: &Value) -> Checked {
    let said =
        |d| [text(d, "message"), text(d, "deprecated_field"), text(&d["context"], "snippet")].join("\n");
    let messages: Vec<_> = details(report, &format!("{kind}s")).map(said).collect();
    let found = |wanted: &Value| messages.iter().any(|m| m.contains(wanted.as_str().unwrap_or_default()));
    let missing = array(&expect[format!("{kind}_message_contains")]).find(|wanted| !found(wanted));
    let forbidden = array(&expect[format!("{kind}_message_not_contains")]).find(|wanted| found(wanted));
    match missing.or(forbidden) {
        Some(wanted) => Err(format!("{kind} {wanted}: {messages:?}")),
        None => Ok(()),
    }
}

fn check_description(expect: &Value, ran: &Ran) -> Checked {
    if ran.code() != 0 {
        return Err(format!("describe failed: {}", ran.err()));
    }
    let described = ran.json();
    for wanted in array(&expect["describe"]) {
        let got = array(&wanted["path"]).try_fold(described.clone(), step);
        same(&wanted["path"].to_string(), &Some(&wanted["equals"]), &got.as_ref())?;
    }
    for (rule, wanted) in expect["compiled_condition"].as_object().into_iter().flatten() {
        let found = array(&described["rules"]).find(|r| r["info"]["name"] == rule.as_str());
        let got = found.map(|r| &r["details"]["condition_compiled"]);
        same(rule, &Some(wanted), &got)?;
    }
    Ok(())
}

/// One step of a path: a key, an index, or the size of what is there.
#[expect(clippy::needless_pass_by_value, reason = "it folds over owned values")]
fn step(value: Value, key: &Value) -> Option<Value> {
    match key {
        Value::String(key) if key == "#size" => Some(value.as_array()?.len().into()),
        Value::String(key) => value.get(key).cloned(),
        index => value.get(usize::try_from(index.as_u64()?).ok()?).cloned(),
    }
}

// === validate ===

fn check_validation(corpus: &Path, case: &Value) -> Checked {
    let ran = saker(arguments(&["rules", "validate", "--json"], &rules_files(corpus, case)));
    let expect = &case["expect"];
    same("exit status", &expect["exit_status"].as_i64(), &Some(ran.code().into()))?;
    let report = ran.json();
    for kind in ["errors", "warnings"] {
        for wanted in array(&expect[kind]) {
            let found = details(&report, kind).any(|got| matches_detail(wanted, got));
            same(&wanted.to_string(), &true, &found).map_err(|e| format!("{e}: {report}"))?;
        }
    }
    for name in array(&expect["ok"]).filter_map(Value::as_str) {
        let named = |result: &&Value| text(result, "name").ends_with(name);
        let ok = array(&report["falco_load_results"]).find(named).map(|r| r["successful"] == true);
        same(name, &Some(true), &ok)?;
    }
    Ok(())
}

fn matches_detail(wanted: &Value, got: &Value) -> bool {
    let drifted = wanted.get("message_drift").is_some();
    let message = drifted || text(got, "message").contains(text(wanted, "message"));
    let place = |key: &str| wanted.get(key).and_then(Value::as_str).unwrap_or_default();
    let located = array(&got["context"]["locations"]).any(|location| {
        text(location, "item_type") == place("item_type")
            && (place("item_name").is_empty() || text(location, "item_name") == place("item_name"))
    });
    message && located && wanted["code"] == got["code"]
}

// === replay ===

fn check_replay(corpus: &Path, case: &Value) -> Checked {
    let (config, expect) = (&case["config"], &case["expect"]);
    let mut args: Vec<_> = ["replay", "--json"].map(PathBuf::from).into();
    for file in rules_files(corpus, case) {
        args.extend(["--rules".into(), file]);
    }
    let kind = if text(case, "source") == "k8s_audit" { "--audit" } else { "--capture" };
    args.extend([kind.into(), corpus.join(text(case, "events_file"))]);
    args.extend(["--matching".into(), text(config, "rule_matching").into()]);
    args.extend(["--min-priority".into(), text(config, "priority").into()]);
    args.extend(["--select".into(), selection(config).to_string().into()]);
    args.extend((config["time_format_iso_8601"] == true).then(|| "--iso-time".into()));
    let ran = saker(args);
    same("exit status", &expect["exit_status"].as_i64(), &Some(ran.code().into()))
        .map_err(|e| e + &ran.err())?;
    let alerts = ran.json_lines();
    if let Some(any) = expect["any_detection"].as_bool() {
        same("any detection", &any, &!alerts.is_empty())?;
    }
    for (rule, count) in expect["rule_counts"].as_object().into_iter().flatten() {
        let got = alerts.iter().filter(|a| a["rule"] == rule.as_str()).count();
        same(rule, &count.as_u64(), &Some(got as u64))?;
    }
    let seen = |p: &Value| alerts.iter().any(|a| has_priority(a, p.as_str().unwrap_or_default()));
    same("unseen priority", &None, &array(&expect["priorities_seen"]).find(|p| !seen(p)))?;
    let seen = |p: &&Value| alerts.iter().any(|a| has_priority(a, p.as_str().unwrap_or_default()));
    same("seen priority", &None, &array(&expect["priorities_not_seen"]).find(seen))?;
    let unmatched = |key: &str, text: &str| {
        let mut patterns = array(&expect[key]).filter_map(Value::as_str);
        patterns.find(|pattern| !Regex::new(pattern).expect("a pattern").is_match(text)).map(str::to_owned)
    };
    same("unmatched on stdout", &None, &unmatched("stdout_matches", &ran.out()))?;
    same("unmatched on stderr", &None, &unmatched("stderr_matches", &ran.err()))
}

/// The keys of older configurations as entries of `rules:`.
fn selection(config: &Value) -> Value {
    let names = |key: &str| array(&config[key]).cloned().collect::<Vec<_>>();
    let wanted = names("run_tags");
    let off = if wanted.is_empty() { vec![] } else { vec![json!({"disable": {"rule": "*"}})] };
    let on = wanted.iter().map(|tag| json!({"enable": {"tag": tag}}));
    let disabled = names("disable_tags").into_iter().map(|tag| json!({"disable": {"tag": tag}}));
    off.into_iter().chain(on).chain(disabled).collect()
}

fn has_priority(alert: &Value, wanted: &str) -> bool {
    text(alert, "priority").to_uppercase().starts_with(wanted)
}

// === reading cases ===

fn rules_files(corpus: &Path, case: &Value) -> Vec<PathBuf> {
    array(&case["rules_files"]).map(|file| corpus.join(text(file, "file"))).collect()
}

fn arguments(words: &[&str], paths: &[PathBuf]) -> Vec<PathBuf> {
    words.iter().map(PathBuf::from).chain(paths.iter().cloned()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The errors or warnings of all files.
fn details<'a>(report: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let kind = kind.to_owned();
    array(&report["falco_load_results"]).flat_map(move |result| array(&result[&kind]))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, got: &T) -> Checked {
    if wanted == got { Ok(()) } else { Err(format!("{what}: expected {wanted:?}, got {got:?}")) }
}
