//! `saker rules validate`: the text, the JSON and the exit codes that scripts rely on.

mod common;

use common::{Files, saker};

const MACRO: &str = "- macro: opened\n  condition: evt.type in (open, openat)\n";
const RULE: &str = "\
- rule: A file opened
  desc: a test
  condition: opened and fd.name = /a
  output: opened (file=%fd.name)
  priority: INFO
";
const MISSPELLED: &str = "\
- rule: A misspelled field
  desc: a test
  condition: evt.type = open and fd.nmae = /a
  output: opened (file=%fd.name)
  priority: INFO
";

#[test]
fn a_good_file_is_ok() {
    let files = Files::new([("good.yaml", &format!("{MACRO}{RULE}"))]);
    let path = files.arg("good.yaml");
    assert_eq!(saker(["rules", "validate", &path]).success().trim_end(), format!("{path}: Ok"));
}

#[test]
fn warnings_do_not_fail() {
    let files = Files::new([("unused.yaml", MACRO)]);
    let path = files.arg("unused.yaml");
    let out = saker(["rules", "validate", &path]).success();
    assert!(out.starts_with(&format!("{path}: Ok, with warnings")), "{out}");
    assert!(out.contains("LOAD_UNUSED_MACRO"), "{out}");
}

#[test]
fn a_mistake_has_a_place_a_caret_and_a_suggestion() {
    let files = Files::new([("bad.yaml", MISSPELLED)]);
    let path = files.arg("bad.yaml");
    let out = saker(["rules", "validate", &path]).fails(1);
    assert!(out.starts_with(&format!("{path}: Invalid")), "{out}");
    for part in [":3:", "fd.nmae = /a", "^", "LOAD_ERR_COMPILE_CONDITION", "fd.name"] {
        assert!(out.contains(part), "no {part:?} in:\n{out}");
    }
}

#[test]
fn later_files_see_earlier_ones() {
    let files = Files::new([("macros.yaml", MACRO), ("rules.yaml", RULE)]);
    let (macros, rules) = (files.arg("macros.yaml"), files.arg("rules.yaml"));
    let out = saker(["rules", "validate", &macros, &rules]).success();
    assert!(out.contains(&format!("{rules}: Ok")), "{out}");
    let out = saker(["rules", "validate", &rules]).fails(1);
    assert!(out.contains("Undefined macro 'opened'"), "{out}");
}

#[test]
fn one_bad_file_of_two_fails_but_both_are_reported() {
    let files = Files::new([("good.yaml", &format!("{MACRO}{RULE}")), ("bad.yaml", MISSPELLED)]);
    let out = saker(["rules", "validate", &files.arg("good.yaml"), &files.arg("bad.yaml")]).fails(1);
    assert!(out.contains("good.yaml: Ok") && out.contains("bad.yaml: Invalid"), "{out}");
}

#[test]
fn json_has_falcos_shape() {
    let files = Files::new([("bad.yaml", MISSPELLED)]);
    let ran = saker(["rules", "validate", "--json", &files.arg("bad.yaml")]);
    assert_eq!(ran.code(), 1);
    let result = &ran.json()["falco_load_results"][0];
    assert_eq!(result["name"], files.arg("bad.yaml"));
    assert_eq!(result["successful"], false);
    assert!(result["warnings"].is_array());
    let error = &result["errors"][0];
    assert_eq!(error["code"], "LOAD_ERR_COMPILE_CONDITION");
    assert_eq!(error["codedesc"], "Error compiling condition");
    assert!(error["message"].as_str().unwrap().contains("nonexistent field fd.nmae"), "{error}");
    let locations = error["context"]["locations"].as_array().unwrap();
    let of = |kind: &str| locations.iter().find(|l| l["item_type"] == kind).unwrap();
    assert_eq!(of("rule")["item_name"], "A misspelled field");
    assert_eq!(of("condition expression")["position"]["line"], 2, "lines count from 0");
    assert!(error["context"]["snippet"].as_str().unwrap().contains('^'));
}

#[test]
fn unreadable_inputs_say_what_is_wrong() {
    let files = Files::new([("notes.txt", "hello\n"), ("map.yaml", "a: 1\n")]);
    std::fs::write(files.path("binary.yaml"), [0xff, 0xfe, 0, 1, 2]).unwrap();
    std::fs::create_dir(files.path("folder.yaml")).unwrap();
    let cases = [
        ("missing.yaml", "No such file"),
        ("folder.yaml", "directory"),
        ("binary.yaml", "UTF-8"),
        ("notes.txt", "Rules content is not yaml"),
        ("map.yaml", "Rules content is not yaml array of objects"),
        ("nul.yaml", "control characters"),
        ("latin.yaml", ":2:12)"),
        ("huge.yaml", "bytes are more than"),
    ];
    std::fs::write(files.path("latin.yaml"), b"- rule: a\n  desc: caf\xe9\n").unwrap();
    std::fs::write(files.path("nul.yaml"), "- list: a\0\n").unwrap();
    // Nothing but a hole: it must be refused by its size, unread.
    std::fs::File::create(files.path("huge.yaml")).unwrap().set_len(100 << 20).unwrap();
    for (name, reason) in cases {
        let path = files.arg(name);
        let out = saker(["rules", "validate", &path]).fails(1);
        assert!(out.contains(reason) && out.contains(&format!("{path}: Invalid")), "{name}: {out}");
        let ran = saker(["rules", "validate", "--json", &path]);
        assert_eq!((ran.code(), &ran.json()["falco_load_results"][0]["successful"]), (1, &false.into()));
    }
}

#[test]
fn a_rule_that_is_blind_is_told() {
    let rule = RULE.replace("opened and fd.name = /a", "evt.type = open and thread.cpu > 1");
    let files = Files::new([("blind.yaml", &rule)]);
    let ran = saker(["rules", "validate", "--json", &files.arg("blind.yaml")]);
    assert_eq!((ran.code(), &ran.json()["falco_load_results"][0]["successful"]), (0, &true.into()));
    assert!(ran.err().contains("the rule 'A file opened' is blind to thread.cpu:"), "{}", ran.err());
}

#[test]
fn a_name_of_an_address_is_seen_where_it_can_be_looked_up() {
    for (check, blind) in [
        ("fd.sip.name = api.example", false),
        ("fd.rip.name in (api.example)", false),
        ("fd.sip.name contains example", true),
    ] {
        let files = Files::new([(
            "names.yaml",
            &RULE.replace("opened and fd.name = /a", &format!("evt.type = connect and {check}")),
        )]);
        let path = files.arg("names.yaml");
        let ran = saker(["rules", "validate", &path]);
        ran.success();
        assert_eq!(ran.err().contains("is blind to fd.sip.name: it can only be compared"), blind, "{check}");
        let described = saker(["rules", "describe", &path]);
        assert_eq!(described.success().contains("  blind  "), blind, "{check}");
        let explained = saker(["rules", "explain", "--json", &path]).json();
        assert_eq!(explained[0]["blind"], blind, "{check}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    // Even root cannot read at the start of this one.
    let out = saker(["rules", "validate", "/proc/self/mem"]).fails(1);
    assert!(out.contains("LOAD_ERR_FILE_READ") && out.contains("Could not read"), "{out}");
}

#[test]
fn a_file_without_rules_is_valid_but_told() {
    for text in ["", "# nothing\n", "- list: l\n  items: [a]\n"] {
        let files = Files::new([("empty.yaml", text)]);
        let ran = saker(["rules", "validate", &files.arg("empty.yaml")]);
        ran.success();
        assert!(ran.err().contains("there is no rule in these files"), "{}", ran.err());
    }
}

#[test]
fn a_key_that_means_nothing_is_told() {
    let typo = format!("{RULE}  exceptions: [{{name: e, fields: [proc.name], value: [[a]]}}]\n");
    let files = Files::new([("typo.yaml", &format!("{MACRO}{typo}"))]);
    let ran = saker(["rules", "validate", &files.arg("typo.yaml")]);
    ran.success();
    let note = "schema validation: failed for [1].exceptions[0]: unknown key 'value'";
    assert!(ran.err().contains(note), "{}", ran.err());
}

#[test]
fn a_name_that_is_used_twice_is_told() {
    let files = Files::new([("a.yaml", &format!("{MACRO}{RULE}")), ("b.yaml", RULE)]);
    let (a, b) = (files.arg("a.yaml"), files.arg("b.yaml"));
    let ran = saker(["rules", "validate", &a, &b]);
    ran.success();
    let note = format!("note: the rule 'A file opened' of {a}:3 is replaced by that of {b}:1");
    assert!(ran.err().contains(&note), "{}", ran.err());
}

#[test]
fn names_that_are_used_twice_are_told_in_part() {
    let rules: String = (0..13).map(|i| RULE.replace("A file opened", &format!("Rule {i}"))).collect();
    let files = Files::new([("a.yaml", &format!("{MACRO}{rules}")), ("b.yaml", &rules)]);
    let ran = saker(["rules", "validate", &files.arg("a.yaml"), &files.arg("b.yaml")]);
    ran.success();
    assert_eq!(ran.err().matches(" is replaced by that of ").count(), 10, "{}", ran.err());
    assert!(ran.err().contains("note: … and 3 more definitions are replaced"), "{}", ran.err());
}

/// A file with one misspelled name, and the help for it.
#[test]
fn misspelled_names_get_the_nearest_one() {
    let rule = |change: fn(&str) -> String| change(&format!("{MACRO}{RULE}"));
    let cases: [(String, &str); 18] = [
        (rule(|r| r.replace("- rule:", "- ruel:")), "did you mean 'rule'?"),
        (
            rule(|r| r.replace("condition: opened", "conditoin: opened")),
            "is 'conditoin' meant to be 'condition'?",
        ),
        (rule(|r| format!("{r}  tasg: [a]\n")), "did you mean 'tags'?"),
        (rule(|r| r.replace("fd.name = /a", "fd.nmae = /a")), "did you mean 'fd.name'?"),
        (rule(|r| r.replace("%fd.name", "%fd.nmae")), "did you mean 'fd.name'?"),
        (rule(|r| r.replace("fd.name = /a", "fd.name startwith /a")), "did you mean 'startswith'?"),
        (rule(|r| r.replace("fd.name =", "toloewr(fd.name) =")), "did you mean 'tolower'?"),
        (rule(|r| r.replace("opened and", "openned and")), "did you mean 'opened'?"),
        (rule(|r| r.replace("openat)", "opneat)")), "did you mean 'openat'?"),
        (rule(|r| r.replace("INFO", "WARNNG")), "did you mean 'warning'?"),
        (rule(|r| format!("{r}  source: syscal\n")), "did you mean 'syscall'?"),
        (
            rule(|r| format!("{r}- rule: A file opend\n  tags: [a]\n  override: {{tags: append}}\n")),
            "did you mean 'A file opened'?",
        ),
        (
            rule(|r| format!("{r}- rule: A file opend\n  tags: [a]\n  override: {{tags: replace}}\n")),
            "did you mean 'A file opened'?",
        ),
        (rule(|r| format!("{r}- rule: A file opend\n  enabled: false\n")), "did you mean 'A file opened'?"),
        (
            rule(|r| format!("{r}- macro: openned\n  condition: or x\n  override: {{condition: append}}\n")),
            "did you mean 'opened'?",
        ),
        (
            rule(|r| format!("- list: cats\n  items: [a]\n- list: cast\n  items: [a]\n  append: true\n{r}")),
            "did you mean 'cats'?",
        ),
        (
            rule(|r| format!("{r}- rule: A file opened\n  tags: [a]\n  override: {{tsag: append}}\n")),
            "did you mean 'tags'?",
        ),
        (
            rule(|r| format!("{r}- rule: A file opened\n  tags: [a]\n  override: {{tags: apend}}\n")),
            "did you mean 'append'?",
        ),
    ];
    for (text, help) in cases {
        let files = Files::new([("rules.yaml", &text)]);
        let out = saker(["rules", "validate", &files.arg("rules.yaml")]).out();
        let found = out.lines().any(|line| line.starts_with("help: ") && line.contains(help));
        assert!(found && out.contains('^'), "{help}\n{text}\n{out}");
    }
}

#[test]
fn no_file_is_wrong_usage() {
    assert!(saker(["rules", "validate"]).fails(2).contains("FILE"));
}

#[test]
fn our_own_rules_are_valid_without_warnings() {
    for name in ["saker_syscall_rules.yaml", "saker_audit_rules.yaml"] {
        let path = common::root().join("rulesets").join(name);
        let ran = saker(["rules", "validate", "--json", path.to_str().unwrap()]);
        let result = ran.json()["falco_load_results"][0].clone();
        assert_eq!((ran.code(), &result["warnings"]), (0, &serde_json::json!([])), "{result}");
    }
}
