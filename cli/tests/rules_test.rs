//! `saker rules test`: our own rules hold, and a failing case is told.

mod common;

use std::fs;

use common::{Files, root, saker};
use saker_engine::case::{Case, Suite};
use saker_rules::load::{LoadOptions, SourceFile, load};

const RULES: &str = "\
- rule: A secret created
  desc: a test
  condition: ka.verb = create and ka.target.resource = secrets
  output: secret (name=%ka.target.name)
  priority: ERROR
  source: k8s_audit
";
const CASES: &str = "\
- rules_files: [rules.yaml]
- rule: A secret created
  name: a secret & more
  events:
    - {kind: Event, auditID: a, verb: create, stageTimestamp: \"2026-01-02T03:04:05Z\",
       objectRef: {resource: secrets, name: tls}}
  expect: [{rule: A secret created, output_fields: {ka.target.name: TLS}}]
- rule: A secret created
  name: a pod
  events:
    - {kind: Event, auditID: b, verb: create, stageTimestamp: \"2026-01-02T03:04:05Z\", objectRef: {resource: pods}}
  expect: none
";

#[test]
fn our_own_rules_do_what_their_cases_say() {
    let tests = root().join("rulesets/tests");
    let cases: Vec<_> = ["saker_syscall_rules.test.yaml", "saker_audit_rules.test.yaml"]
        .map(|name| tests.join(name).to_str().unwrap().to_owned())
        .into();
    let ran = saker(["rules", "test"].map(str::to_owned).into_iter().chain(cases));
    assert!(ran.success().contains("cases hold"));
}

/// A rule that never fires in a test may never fire at all; one that is never quiet may never be.
#[test]
fn each_default_rule_has_a_case_that_fires_it_and_one_that_does_not() {
    for name in ["saker_syscall_rules", "saker_audit_rules"] {
        let read =
            |path: String| fs::read_to_string(root().join("rulesets").join(path)).expect("a file of ours");
        let suite = Suite::parse(&read(format!("tests/{name}.test.yaml"))).expect("cases");
        let file = SourceFile::new(name, read(format!("{name}.yaml")));
        let rules = load(&[file], &LoadOptions::new(saker_events::schema())).rules.expect("good rules");
        for rule in rules.rules().iter().map(|rule| &rule.info.name) {
            let cases = || suite.cases.iter().filter(|case| case.rule == *rule);
            let fires = |case: &Case| case.expect.iter().any(|alert| alert.rule == *rule);
            assert!(cases().any(fires), "no case fires '{rule}'");
            assert!(cases().any(|case| !fires(case)), "every case fires '{rule}'");
        }
        let known = |case: &&Case| rules.rules().iter().any(|rule| rule.info.name == case.rule);
        let stray = suite.cases.iter().find(|case| !known(case));
        assert!(stray.is_none(), "there is no such rule: {stray:?}");
    }
}

#[test]
fn a_failing_case_says_what_came_instead() {
    let files = Files::new([("rules.yaml", RULES), ("rules.test.yaml", CASES)]);
    let junit = files.arg("junit.xml");
    let out = saker(["rules", "test", "--junit", &junit, &files.arg("rules.test.yaml")]).fails(1);
    assert!(out.contains("FAILED A secret created: a secret & more"), "{out}");
    assert!(out.contains(r#"expected ka.target.name = "TLS", got "tls""#), "{out}");
    assert!(out.contains("1 of 2 cases hold"), "{out}");
    let junit = fs::read_to_string(junit).unwrap();
    assert!(junit.contains(r#"tests="2" failures="1""#), "{junit}");
    assert!(junit.contains(r#"<testcase classname="A secret created" name="a pod"/>"#), "{junit}");
    assert!(junit.contains("a secret &amp; more"), "{junit}");
}

#[test]
fn cases_that_cannot_be_run_say_why() {
    let wrong = [
        ("", "rules_files"),
        ("hello", "rules.test.yaml"),
        ("- rule: x\n", "`name`"),
        ("- rules_files: [rules.yaml]\n- {rule: x, name: y, events: [], expect: sometimes}\n", "`expect`"),
        (
            "- rules_files: [rules.yaml]\n- {rule: x, name: y, events: [{a: 1}], expect: none}\n",
            "no audit event",
        ),
        ("- rules_files: [absent.yaml]\n- {rule: x, name: y, events: [], expect: none}\n", "No such file"),
        ("- rules_files: [rules.yaml]\n", "has no case"),
        (
            "- rules_files: [rules.yaml]\n- {rule: A secret creatd, name: y, events: [], expect: none}\n",
            "unknown rule `A secret creatd`: did you mean 'A secret created'?",
        ),
    ];
    for (cases, reason) in wrong {
        let files = Files::new([("rules.yaml", RULES), ("rules.test.yaml", cases)]);
        let out = saker(["rules", "test", &files.arg("rules.test.yaml")]).fails(1);
        assert!(out.contains(reason), "{cases:?}: {out}");
    }
}

#[test]
fn a_compact_event_with_a_mistake_fails_its_case() {
    let event = |event: &str| {
        format!("- rules_files: [rules.yaml]\n- {{rule: x, name: y, events: [{event}], expect: none}}\n")
    };
    let wrong = [
        ("{evt: opennat, proc: {name: cat}}", "unknown event `opennat`: did you mean 'openat'?"),
        ("{evt: openat, proc: {name: cat}, params: {path: /a}}", "no parameter `path`"),
        ("{evt: openat, proc: {name: cat}, params: {flags: O_READ}}", "no value 'O_READ'"),
        ("{evt: openat, proc: {name: cat}, params: {fd: three}}", "takes a number, not 'three'"),
        ("{evt: connect, proc: {name: cat}, params: {tuple: nowhere}}", "'nowhere' is no connection"),
        ("{evt: openat, proc: {name: cat}, container: web}", "neither `host` nor hex digits"),
    ];
    for (compact, reason) in wrong {
        let files = Files::new([("rules.yaml", RULES), ("rules.test.yaml", &event(compact))]);
        let out = saker(["rules", "test", &files.arg("rules.test.yaml")]).fails(1);
        assert!(out.contains(reason), "{compact}: {out}");
    }
}
