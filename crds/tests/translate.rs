//! A FalcoRule's spec, and the rules file it becomes.

use saker_crds::{FalcoRuleExceptionSpec, FalcoRuleSpec};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    spec: FalcoRuleSpec,
    file: String,
}

#[test]
fn specs_become_rules_files() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("cases/translate.yaml")).expect("cases that parse");
    assert!(!cases.is_empty());
    for Case { name, spec, file } in cases {
        assert_eq!(spec.to_rules_file().expect("a rules file"), file, "{name}");
    }
}

#[test]
fn an_exception_is_appended_to_its_rule() {
    let spec = "{rule: R, reason: why, fields: [proc.name, fd.name], comps: [=, in], values: [[a, [b, c]]]}";
    let spec: FalcoRuleExceptionSpec = serde_saphyr::from_str(spec).expect("a spec");
    let file = spec.to_rules_file("ns/backup").expect("a rules file");
    let back: serde_json::Value = serde_saphyr::from_str(&file).expect(&file);
    let exception = serde_json::json!({
        "name": "ns/backup", "fields": ["proc.name", "fd.name"], "comps": ["=", "in"], "values": [["a", ["b", "c"]]],
    });
    let item = serde_json::json!([{
        "rule": "R", "exceptions": [exception], "override": {"exceptions": "append"},
    }]);
    assert_eq!(back, item, "{file}");
}

/// Whatever a text looks like to a YAML reader, it is read back as the same text.
#[test]
fn awkward_texts_survive() {
    for text in [
        "yes",
        "0777",
        "1.10",
        "=",
        "a: b",
        "- x",
        "# no comment",
        "%fd.name",
        "é\t\"'\\",
        " both ends ",
        "a\n\n  b\n",
    ] {
        let rule = serde_json::json!({"rules": [{
            "rule": text, "desc": text, "condition": text, "output": text, "priority": "Debug", "tags": [text],
        }]});
        let spec: FalcoRuleSpec = serde_json::from_value(rule).expect("a spec");
        let file = spec.to_rules_file().expect("a rules file");
        let back: serde_json::Value = serde_saphyr::from_str(&file).expect(&file);
        for key in ["rule", "desc", "condition", "output"] {
            assert_eq!(back[0][key], text, "{key} in:\n{file}");
        }
        assert_eq!(back[0]["tags"][0], text, "{file}");
    }
}
