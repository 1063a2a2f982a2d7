//! `saker rules describe`: what a rule means after expansion.

mod common;

use common::{Files, saker};

const RULES: &str = "\
- list: readers
  items: [cat, tac]
- macro: opened
  condition: evt.type in (open, openat)
- rule: A file read
  desc: a test
  condition: opened and proc.name in (readers)
  output: read (file=%fd.name)
  priority: INFO
  tags: [b, a]
";

#[test]
fn json_has_falcos_shape() {
    let files = Files::new([("rules.yaml", RULES)]);
    let described = saker(["rules", "describe", "--json", &files.arg("rules.yaml")]).json();
    let rule = &described["rules"][0];
    assert_eq!(rule["info"]["name"], "A file read");
    assert_eq!(rule["info"]["condition"], "opened and proc.name in (readers)");
    assert_eq!(rule["info"]["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(
        rule["details"]["condition_compiled"],
        "(evt.type in (open, openat) and proc.name in (cat, tac))"
    );
    assert_eq!(described["lists"][0]["info"]["name"], "readers");
    assert_eq!(described["macros"][0]["info"]["name"], "opened");
}

#[test]
fn the_table_names_each_rule_with_its_priority() {
    let files = Files::new([("rules.yaml", RULES)]);
    let out = saker(["rules", "describe", &files.arg("rules.yaml")]).success();
    let line = out.lines().find(|line| line.contains("A file read")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains("Informational") && line.contains("syscall"), "{line}");
}

#[test]
fn bad_rules_are_not_described() {
    let files = Files::new([("bad.yaml", "- rule: x\n  condition: a\n")]);
    let ran = saker(["rules", "describe", "--json", &files.arg("bad.yaml")]);
    assert!(ran.fails(1).contains("bad.yaml: Invalid"));
    assert_eq!(ran.out(), "", "nothing that a script could take for a description");
}
