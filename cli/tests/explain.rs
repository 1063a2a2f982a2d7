//! `saker rules explain`: expansion, events, fields, costs and order of rules.

mod common;

use common::{Files, saker};
use serde_json::json;

const RULES: &str = "\
- list: readers
  items: [cat, tac]
- macro: opened
  condition: evt.type in (open, openat)
- rule: First
  desc: a test
  condition: opened and proc.name in (readers)
  output: first
  priority: INFO
- rule: Second
  desc: a test
  condition: opened and proc.name in (readers) and fd.name regex '/etc/.*' and not proc.aname = sshd
  output: second
  priority: WARNING
  exceptions:
    - {name: users, fields: [user.name, fd.name], values: [[root, /etc/passwd]]}
- rule: Third
  desc: a test
  condition: opened and proc.name = dog and container.image.repository = x
  output: third
  priority: INFO
- rule: Fourth
  desc: a test
  condition: evt.type = execve and proc.name = cat
  output: fourth
  priority: INFO
- rule: Fifth
  desc: a test
  condition: proc.name = tac
  output: fifth
  priority: INFO
";

#[test]
fn one_rule_for_people() {
    let files = Files::new([("rules.yaml", RULES)]);
    let path = files.arg("rules.yaml");
    let out = saker(["rules", "explain", &path, "Second"]).success();
    let expected = format!(
        "\
Second
  {path}:10, source syscall, Warning
  condition:
    evt.type in (open, openat)
    and proc.name in (cat, tac)
    and fd.name regex /etc/.*
    and not proc.aname = sshd
    and not (user.name = root and fd.name = /etc/passwd)
  runs on:
    events: open, openat
    system calls: open, openat
  reads:
    evt.type CHARBUF
    proc.name CHARBUF
    fd.name CHARBUF
    proc.aname CHARBUF
    user.name CHARBUF
  costs:
    high: fd.name regex: a regular expression reads the whole value; startswith, endswith, contains and glob are \
cheaper
    high: proc.aname =: the field has a value for each ancestor or list entry, and all are read until one fits; \
put it behind the comparisons that fail most often
  order:
    always shadowed by 'First'
    may shadow 'Fifth'
"
    );
    assert_eq!(out, expected);
    assert_eq!(saker(["rules", "explain", "--rule", "Second", &path]).success(), expected);
}

#[test]
fn all_rules_for_programs() {
    let files = Files::new([("rules.yaml", RULES)]);
    let explained = saker(["rules", "explain", "--json", &files.arg("rules.yaml")]).json();
    let rule = |name: &str| explained.as_array().unwrap().iter().find(|r| r["rule"] == name).unwrap().clone();
    let (first, fourth, fifth) = (rule("First"), rule("Fourth"), rule("Fifth"));
    assert_eq!(
        first["overlaps"],
        json!([
            {"relation": "always_shadows", "rule": "Second"},
            {"relation": "may_shadow", "rule": "Fifth"},
        ]),
        "not the third, which wants another name, nor the fourth, which wants other events"
    );
    assert_eq!((&fourth["events"], &fourth["overlaps"]), (&json!({"only": ["execve"]}), &json!([])));
    assert_eq!((&fifth["events"], &fifth["system_calls"]), (&json!("all"), &json!(null)));
    assert_eq!(fifth["costs"][0]["level"], "high", "it runs on every event: {fifth}");
}

#[test]
fn a_blind_rule_says_which_field_blinds_it() {
    let fields = saker(["fields", "--json", "syscall"]).json();
    let unavailable =
        fields.as_array().unwrap().iter().find(|f| f["available"] == false && f["argument"] == "none");
    let Some(name) = unavailable.map(|field| field["name"].as_str().unwrap()) else { return };
    let rule = format!(
        "- rule: Blind\n  desc: d\n  condition: evt.type = open and {name} exists\n  output: o\n  priority: INFO\n"
    );
    let files = Files::new([("rules.yaml", &rule)]);
    let path = files.arg("rules.yaml");
    let out = saker(["rules", "explain", &path]).success();
    assert!(out.lines().any(|line| line.contains(name) && line.contains("no source fills it")), "{out}");
    assert_eq!(saker(["rules", "explain", "--json", &path]).json()[0]["blind"], true);
    assert!(saker(["rules", "describe", &path]).success().contains("  blind  "));
}

#[test]
fn what_is_no_rule_is_told() {
    let files = Files::new([("rules.yaml", RULES)]);
    let out = saker(["rules", "explain", &files.arg("rules.yaml"), "Frist"]).fails(1);
    assert!(
        out.contains("'Frist' is neither a file nor a rule of these files: did you mean 'First'?"),
        "{out}"
    );
    let out = saker(["rules", "explain", &files.arg("missing.yaml")]).fails(1);
    assert!(out.contains("No such file"), "{out}");
}

#[test]
fn a_narrower_rule_never_alerts() {
    let rule = |name: &str, condition: &str| {
        format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
    };
    let wide = rule("Wide", "evt.type in (open, openat) and proc.name in (cat, tac)");
    let narrow = rule("Narrow", "evt.type = open and proc.name = cat and fd.name startswith /etc");
    let never = rule("Never", "evt.type = open and evt.type = close");
    let files = Files::new([("rules.yaml", &[wide, narrow, never].concat())]);
    let out = saker(["rules", "explain", &files.arg("rules.yaml")]).success();
    for part in ["always shadows 'Narrow'", "always shadowed by 'Wide'", "nothing: no type of event"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}
