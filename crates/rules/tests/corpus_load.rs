//! The conformance cases about rules files in the directory that SAKER_FIXTURES names
//! (`corpus/*.jsonl`, `rules/*.yaml`, with the tables in `../spec`).

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod support;

use std::{env, fs, path::Path, path::PathBuf, sync::Arc};

use saker_rules::{
    describe::describe,
    diagnostic::Diagnostic,
    limits::MAX_DEPTH,
    lint,
    load::{FileReport, LoadOptions, Loaded, Mode, SourceFile, load},
    parse::parse,
    report,
    requirements::{Version, parse_version},
    schema::Schema,
    select::{Selection, Selector, matches},
};
use serde_json::Value as Json;

/// What a case found different from what it expects.
type Outcome = Result<(), String>;

fn fixtures() -> Option<(PathBuf, Arc<Schema>)> {
    let Some(fixtures) = env::var_os("SAKER_FIXTURES").map(PathBuf::from) else {
        println!("skipped: SAKER_FIXTURES not set");
        return None;
    };
    let schema = Arc::new(support::schema(&fixtures.join("../spec")));
    Some((fixtures, schema))
}

#[test]
fn the_conformance_cases_hold() {
    let Some((fixtures, schema)) = fixtures() else { return };
    let (mut count, mut failures) = (0, Vec::new());
    for entry in fs::read_dir(fixtures.join("corpus")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            if let Some(outcome) = run(&case, &fixtures.join("corpus"), &schema) {
                count += 1;
                failures.extend(outcome.err().map(|why| format!("{}: {why}", case["id"])));
            }
        }
    }
    assert!(count > 0, "no cases in {}", fixtures.display());
    println!("{} of {count} cases hold", count - failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run(case: &Json, corpus: &Path, schema: &Arc<Schema>) -> Option<Outcome> {
    match case["kind"].as_str()? {
        "rules_load" => Some(rules_load(case, schema)),
        "validate" => Some(validate(case, corpus, schema)),
        "plugin_requirements" => Some(plugin_requirements(case, schema)),
        "condition_warnings" => Some(condition_warnings(case)),
        "util" if case["function"] == "matches_wildcard" => {
            let found = matches(case["args"][0].as_str()?, case["args"][1].as_str()?);
            Some(same("matches", &found.into(), &case["expect"]["equals"]))
        }
        _ => None,
    }
}

fn same(what: &str, found: &Json, wanted: &Json) -> Outcome {
    if wanted.is_null() || found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}")) }
}

/// The files of a case, with their texts in the case itself.
fn files(case: &Json) -> Vec<SourceFile> {
    let file =
        |f: &Json| SourceFile::new(f["file"].as_str().unwrap_or("rules"), f["rules"].as_str().unwrap());
    match &case["rules"] {
        Json::Array(files) => files.iter().map(file).collect(),
        Json::String(text) => vec![SourceFile::new("rules", text.as_str())],
        _ => Vec::new(),
    }
}

fn plugins(list: &Json) -> Vec<(String, Version)> {
    let plugin = |p: &Json| Some((p["name"].as_str()?.to_owned(), parse_version(p["version"].as_str()?)?));
    list.as_array().into_iter().flatten().filter_map(plugin).collect()
}

fn rules_load(case: &Json, schema: &Arc<Schema>) -> Outcome {
    let expect = &case["expect"];
    let mut options = LoadOptions::new(Arc::clone(schema));
    options.plugins = plugins(&case["env"]["plugins"]);
    let loaded = load(&files(case), &options);
    let last = loaded.files.last().ok_or("no file")?;
    let found = format!("{last}");
    same("load_ok", &loaded.successful().into(), &expect["load_ok"]).map_err(|e| format!("{e}\n{found}"))?;
    if let Some(wanted) = expect["schema_validation"].as_str() {
        let status = last.schema_validation();
        if status.split(' ').next() != Some(wanted) {
            return Err(format!("schema validation: {status}, not {wanted}"));
        }
    }
    same("has_warnings", &(!last.warnings.is_empty()).into(), &expect["has_warnings"])
        .map_err(|e| format!("{e}\n{found}"))?;
    messages(&expect["error_message_contains"], &last.errors, true)?;
    messages(&expect["warning_message_contains"], &last.warnings, true)?;
    messages(&expect["error_message_not_contains"], &last.errors, false)?;
    messages(&expect["warning_message_not_contains"], &last.warnings, false)?;
    same("enabled", &loaded.enabled().into(), &expect["enabled_rules_default"])?;
    described(&loaded, expect)?;
    after_ops(case, &options)
}

fn messages(wanted: &Json, found: &[Diagnostic], there: bool) -> Outcome {
    for text in wanted.as_array().into_iter().flatten().filter_map(Json::as_str) {
        if found.iter().any(|d| d.message.contains(text)) != there {
            let found: Vec<_> = found.iter().map(|d| &d.message).collect();
            return Err(format!("message {text:?} (wanted: {there}) in {found:?}"));
        }
    }
    Ok(())
}

fn described(loaded: &Loaded, expect: &Json) -> Outcome {
    let description = describe(loaded);
    for row in expect["describe"].as_array().into_iter().flatten() {
        let mut at = description.clone();
        for step in row["path"].as_array().into_iter().flatten() {
            at = match step {
                Json::String(key) if key == "#size" => at.as_array().map_or(0, Vec::len).into(),
                Json::String(key) => at[key.as_str()].take(),
                index => at[usize::try_from(index.as_u64().unwrap()).unwrap()].take(),
            };
        }
        same(&row["path"].to_string(), &at, &row["equals"])?;
    }
    let rules = description["rules"].as_array().unwrap();
    for (name, wanted) in expect["compiled_condition"].as_object().into_iter().flatten() {
        let rule = rules.iter().find(|rule| rule["info"]["name"] == *name).ok_or("rule is missing")?;
        same(name, &rule["details"]["condition_compiled"], wanted)?;
    }
    Ok(())
}

fn after_ops(case: &Json, options: &LoadOptions) -> Outcome {
    let mut options = options.clone();
    for step in case["expect"]["after_ops"].as_array().into_iter().flatten() {
        for op in step["ops"].as_array().into_iter().flatten() {
            let text = |key: &str| op[key].as_str().map(str::to_owned);
            let selector = Selector { rule: text("rule").or_else(|| text("pattern")), tag: text("tag") };
            let enable = op["op"] == "enable";
            options.selection.push(if enable {
                Selection::Enable(selector)
            } else {
                Selection::Disable(selector)
            });
        }
        same("enabled afterwards", &load(&files(case), &options).enabled().into(), &step["enabled"])?;
    }
    Ok(())
}

fn validate(case: &Json, corpus: &Path, schema: &Arc<Schema>) -> Outcome {
    let expect = &case["expect"];
    let names = case["rules_files"].as_array().into_iter().flatten().filter_map(|f| f["file"].as_str());
    let read = |name| SourceFile::new(name, fs::read_to_string(corpus.join(name)).unwrap());
    let loaded = load(&names.map(read).collect::<Vec<_>>(), &LoadOptions::new(Arc::clone(schema)));
    let text = report::text(&loaded.files);
    same("exit_status", &i32::from(!loaded.successful()).into(), &expect["exit_status"])
        .map_err(|e| format!("{e}\n{text}"))?;
    let all = |of: fn(&FileReport) -> &Vec<Diagnostic>| loaded.files.iter().flat_map(of).collect::<Vec<_>>();
    for (key, found) in [("errors", all(|f| &f.errors)), ("warnings", all(|f| &f.warnings))] {
        for wanted in expect[key].as_array().into_iter().flatten() {
            if !found.iter().any(|diagnostic| is(diagnostic, wanted)) {
                return Err(format!("{key}: no {wanted} in\n{text}"));
            }
        }
    }
    for name in expect["ok"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let ok = |file: &FileReport| file.name.ends_with(name) && file.successful();
        if !loaded.files.iter().any(ok) {
            return Err(format!("{name} is not ok\n{text}"));
        }
    }
    Ok(())
}

/// Whether a diagnostic is the wanted one. Messages that upstream has changed since are not compared.
fn is(diagnostic: &Diagnostic, wanted: &Json) -> bool {
    let item = |key: &str, text: &str| wanted[key].as_str().is_none_or(|wanted| wanted == text);
    let place = diagnostic
        .locations
        .iter()
        .any(|l| item("item_type", &l.item_type) && item("item_name", &l.item_name));
    let same_words = wanted["message"].as_str().is_none_or(|wanted| diagnostic.message.contains(wanted));
    let words = same_words || wanted["message_drift"].is_string();
    place && words && item("code", diagnostic.code.name())
}

fn plugin_requirements(case: &Json, schema: &Arc<Schema>) -> Outcome {
    let mut options = LoadOptions::new(Arc::clone(schema));
    options.plugins = plugins(&case["plugins"]);
    let satisfied = load(&files(case), &options).successful();
    same("satisfied", &satisfied.into(), &case["expect"]["satisfied"])
}

fn condition_warnings(case: &Json) -> Outcome {
    let tree = parse(case["filter"].as_str().unwrap(), MAX_DEPTH).map_err(|e| e.to_string())?;
    let found = lint::warnings(&tree);
    same("warns", &(!found.is_empty()).into(), &case["expect"]["warns"])?;
    same("codes", &found.iter().map(|w| w.code.name()).collect(), &case["expect"]["codes"])
}

/// Files that users have on day one, how many rules they hold, and the warnings they get.
const UPSTREAM: [(&str, usize); 4] = [
    ("falco_rules.yaml", 25),
    ("falco-incubating_rules.yaml", 31),
    ("falco-sandbox_rules.yaml", 37),
    ("k8s_audit_rules.yaml", 48),
];

#[test]
fn upstream_rules_load() {
    let Some((fixtures, schema)) = fixtures() else { return };
    let mut options = LoadOptions::new(schema);
    options.plugins = [("k8saudit", (0, 18, 0)), ("json", (0, 7, 4)), ("container", (0, 7, 0))]
        .map(|(name, version)| (name.to_owned(), version))
        .into();
    let read = |(name, _): &(&'static str, usize)| {
        SourceFile::new(*name, fs::read_to_string(fixtures.join("rules").join(name)).unwrap())
    };
    let all: Vec<_> = UPSTREAM.iter().map(read).collect();
    for (file, (_, count)) in all.iter().zip(UPSTREAM) {
        for mode in [Mode::Strict, Mode::Quarantine] {
            let loaded = load(std::slice::from_ref(file), &LoadOptions { mode, ..options.clone() });
            println!("{}", report::text(&loaded.files));
            assert!(loaded.successful() && loaded.quarantined.is_empty());
            assert_eq!(loaded.compiled(), count, "{}", file.name);
        }
    }
    for mode in [Mode::Strict, Mode::Quarantine] {
        let loaded = load(&all, &LoadOptions { mode, ..options.clone() });
        println!("{}", report::text(&loaded.files));
        assert!(loaded.successful() && loaded.rules.is_some());
        assert_eq!(loaded.compiled(), 25 + 31 + 37 + 48);
    }
}
