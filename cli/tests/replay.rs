//! `saker replay`: the contract of its output, its inputs and its exit codes.

mod common;

use common::{Files, saker, saker_reading};

const RULES: &str = "\
- rule: Anything created
  desc: a test
  condition: ka.verb = create
  output: created (user=%ka.user.name name=%ka.target.name)
  priority: NOTICE
  source: k8s_audit
  tags: [k8s]
- rule: A secret created
  desc: a test
  condition: ka.verb = create and ka.target.resource = secrets
  output: secret (name=%ka.target.name)
  priority: ERROR
  source: k8s_audit
";

fn event(id: &str, verb: &str, resource: &str) -> String {
    format!(
        r#"{{"kind":"Event","auditID":"{id}","stage":"ResponseComplete","verb":"{verb}","user":{{"username":"eve"}},"stageTimestamp":"2026-01-02T03:04:05.000001Z","objectRef":{{"resource":"{resource}","name":"{id}"}}}}"#
    )
}

/// Replays the events under RULES with more options, and gives the rules that fired.
fn fired(events: &str, more: &[&str]) -> Vec<String> {
    let files = Files::new([("rules.yaml", RULES), ("events.json", events)]);
    let (rules, events) = (files.arg("rules.yaml"), files.arg("events.json"));
    let ran = saker([&["replay", "--json", "--rules", &rules, "--audit", &events], more].concat());
    ran.success();
    ran.json_lines().iter().map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn text_is_one_line_an_alert_and_the_summary_goes_elsewhere() {
    let files = Files::new([("rules.yaml", RULES), ("events.json", &event("a", "create", "pods"))]);
    let ran = saker(["replay", "--rules", &files.arg("rules.yaml"), "--audit", &files.arg("events.json")]);
    assert_eq!(ran.success(), "03:04:05.000001000: Notice created (user=eve name=a)\n");
    assert_eq!(ran.err(), "Events: 1, alerts: 1\n  Anything created: 1\n");
}

#[test]
fn a_file_of_events_has_no_names_of_addresses() {
    let rule = "- {rule: To the API, desc: d, condition: evt.type = connect and fd.sip.name = api.example, output: o, priority: INFO}";
    let files = Files::new([("rules.yaml", rule), ("events.json", "")]);
    let ran = saker(["replay", "--rules", &files.arg("rules.yaml"), "--audit", &files.arg("events.json")]);
    let warning =
        "the rule 'To the API' is blind to fd.sip.name: only the agent looks up the addresses of names";
    assert!(ran.err().contains(warning), "{}", ran.err());
}

#[test]
fn json_has_falcos_keys() {
    let files = Files::new([("rules.yaml", RULES), ("events.json", &event("a", "create", "pods"))]);
    let args =
        ["replay", "--json", "--rules", &files.arg("rules.yaml"), "--audit", &files.arg("events.json")];
    let alert = &saker(args).json_lines()[0];
    let expected = serde_json::json!({
        "hostname": "node-1",
        "output": "03:04:05.000001000: Notice created (user=eve name=a)",
        "output_fields": {"evt.time": 1_767_323_045_000_001_000_u64, "ka.target.name": "a", "ka.user.name": "eve"},
        "priority": "Notice",
        "rule": "Anything created",
        "source": "k8s_audit",
        "tags": ["k8s"],
        "time": "2026-01-02T03:04:05.000001000Z",
    });
    assert_eq!(*alert, expected);
}

#[test]
fn every_form_of_input_is_understood() {
    let (one, two) = (event("a", "create", "pods"), event("b", "create", "pods"));
    let list = format!(r#"{{"kind":"EventList","items":[{one},{two}]}}"#);
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&list).unwrap()).unwrap();
    for events in [format!("{one}\n{two}\n"), format!("[{one},{two}]"), list, pretty] {
        assert_eq!(fired(&events, &[]).len(), 2, "{events}");
    }
}

#[test]
fn a_dash_reads_standard_input() {
    let files = Files::new([("rules.yaml", RULES)]);
    let args = ["replay", "--rules", &files.arg("rules.yaml"), "--audit", "-"];
    assert!(saker_reading(args, &event("a", "create", "pods")).success().contains("created"));
}

#[test]
fn one_alert_or_all() {
    let secret = event("a", "create", "secrets");
    assert_eq!(fired(&secret, &[]), ["Anything created"]);
    assert_eq!(fired(&secret, &["--matching", "first"]), ["Anything created"]);
    assert_eq!(fired(&secret, &["--matching", "all"]), ["Anything created", "A secret created"]);
}

#[test]
fn less_urgent_rules_are_left_out() {
    assert_eq!(fired(&event("a", "create", "secrets"), &["--min-priority", "error"]), ["A secret created"]);
    assert!(fired(&event("a", "create", "pods"), &["--min-priority", "Error"]).is_empty());
}

#[test]
fn rules_are_selected_as_the_agent_does_it() {
    let secret = event("a", "create", "secrets");
    let selected = |yaml: &str| fired(&secret, &["--matching", "all", "--select", yaml]);
    assert_eq!(selected("[]"), ["Anything created", "A secret created"]);
    assert_eq!(selected("[{disable: {tag: k8s}}]"), ["A secret created"]);
    assert_eq!(selected("[{disable: {rule: '*'}}, {enable: {tag: k8s}}]"), ["Anything created"]);
    let out = saker(["replay", "--rules", "a", "--audit", "b", "--select", "{disable: k8s}"]).fails(2);
    assert!(out.contains("not a list like"), "{out}");
}

#[test]
fn iso_time_tells_the_date() {
    let files = Files::new([("rules.yaml", RULES), ("events.json", &event("a", "create", "pods"))]);
    let (rules, events) = (files.arg("rules.yaml"), files.arg("events.json"));
    let ran = saker(["replay", "--json", "--iso-time", "--rules", &rules, "--audit", &events]);
    let alert = &ran.json_lines()[0];
    assert!(
        alert["output"].as_str().unwrap().starts_with("2026-01-02T03:04:05.000001000+0000: Notice"),
        "{alert}"
    );
    assert_eq!(alert["output_fields"]["evt.time.iso8601"], 1_767_323_045_000_001_000_u64);
}

#[test]
fn later_rules_files_override() {
    let off = "- rule: Anything created\n  enabled: false\n  override: {enabled: replace}\n";
    let files = Files::new([
        ("rules.yaml", RULES),
        ("off.yaml", off),
        ("events.json", &event("a", "create", "secrets")),
    ]);
    let (rules, off, events) = (files.arg("rules.yaml"), files.arg("off.yaml"), files.arg("events.json"));
    let ran = saker(["replay", "--rules", &rules, "--rules", &off, "--audit", &events]);
    assert!(ran.success().contains("Error secret (name=a)"), "{}", ran.out());
}

#[test]
fn no_alert_is_no_error() {
    assert!(fired(&event("a", "get", "pods"), &[]).is_empty());
}

#[test]
fn rules_that_do_not_load() {
    let files = Files::new([("bad.yaml", "- rule: x\n"), ("events.json", &event("a", "get", "pods"))]);
    let ran = saker(["replay", "--rules", &files.arg("bad.yaml"), "--audit", &files.arg("events.json")]);
    assert!(ran.fails(1).contains("bad.yaml: Invalid"));
    assert_eq!(ran.out(), "");
}

#[test]
fn events_that_cannot_be_read() {
    let files = Files::new([("rules.yaml", RULES), ("empty.json", ""), ("notes.json", "hello\n")]);
    std::fs::write(files.path("binary.json"), [0xff, 0, 1]).unwrap();
    std::fs::create_dir(files.path("folder.json")).unwrap();
    let reasons = [
        ("missing.json", "No such file"),
        ("folder.json", "directory"),
        ("empty.json", "empty"),
        ("notes.json", "not JSON"),
        ("binary.json", "not JSON"),
    ];
    for (name, reason) in reasons {
        let ran = saker(["replay", "--rules", &files.arg("rules.yaml"), "--audit", &files.arg(name)]);
        let text = ran.fails(1);
        assert!(text.contains(reason) && text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_is_no_audit_event_is_passed_over_aloud() {
    let events = format!("{{\"kind\": 0}}\n{}\n", event("a", "create", "pods"));
    let files = Files::new([("rules.yaml", RULES), ("events.json", &events)]);
    let ran = saker(["replay", "--rules", &files.arg("rules.yaml"), "--audit", &files.arg("events.json")]);
    assert!(ran.success().contains("created"));
    assert!(ran.err().contains("data not recognized as a k8s audit event"), "{}", ran.err());
}

#[test]
fn a_file_that_is_no_capture_is_refused() {
    let files = Files::new([("rules.yaml", RULES), ("a.scap", "no capture")]);
    let ran = saker(["replay", "--rules", &files.arg("rules.yaml"), "--capture", &files.arg("a.scap")]);
    assert!(ran.fails(1).contains("no capture file: give a .scap file"), "{}", ran.err());
}

#[test]
fn wrong_usage() {
    for args in [
        vec!["replay", "--audit", "e.json"],
        vec!["replay", "--rules", "r.yaml"],
        vec!["replay", "--rules", "r.yaml", "--audit", "e.json", "--capture", "c.scap"],
        vec!["replay", "--rules", "r.yaml", "--audit", "e.json", "--matching", "some"],
        vec!["replay", "--rules", "r.yaml", "--audit", "e.json", "--min-priority", "loud"],
    ] {
        saker(&args).fails(2);
    }
}
