//! `saker audit policy`: a policy for the rules, and what another policy leaves them blind to.

mod common;

use common::{Files, saker};

const RULE: &str = "
- rule: Secrets listed
  desc: d
  condition: ka.verb = list and ka.target.resource = secrets
  output: secrets listed (user=%ka.user.name)
  priority: INFO
  source: k8s_audit
";

#[test]
fn the_policy_of_the_default_rules_leaves_none_of_them_blind() {
    let files = Files::new([("policy.yaml", saker(["audit", "policy"]).success().as_str())]);
    let out = saker(["audit", "policy", "--check", &files.arg("policy.yaml")]).success();
    assert!(out.ends_with(" rules about audit events, 0 of them blind\n"), "{out}");
}

#[test]
fn a_line_names_the_rules_that_want_it() {
    let files = Files::new([("rules.yaml", RULE)]);
    let out = saker(["audit", "policy", "--rules", &files.arg("rules.yaml")]).success();
    let line = "  # wanted by: Secrets listed\n  - level: Metadata\n    verbs: [list]\n    resources:\n      \
                - {group: \"\", resources: [secrets]}\n";
    assert!(out.ends_with(line), "{out}");
}

#[test]
fn a_blind_rule_is_named_with_the_line_to_blame_and_the_line_that_would_do() {
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  verbs: [list]\n- level: Metadata\n";
    let files = Files::new([("rules.yaml", RULE), ("policy.yaml", policy)]);
    let check =
        ["audit", "policy", "--rules", &files.arg("rules.yaml"), "--check", &files.arg("policy.yaml")];
    let out = saker(check).fails(1);
    for part in [
        "Secrets listed: blind,",
        "policy.yaml:4: level None: list secrets",
        "- level: Metadata\n    verbs: [list]",
    ] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }
    assert!(out.contains("1 rules about audit events, 1 of them blind"), "{out}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let syscall = "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: INFO}\n";
    let files = Files::new([("rules.yaml", syscall), ("policy.yaml", "kind: Pod\napiVersion: v1\n")]);
    let none = saker(["audit", "policy", "--rules", &files.arg("rules.yaml")]).fails(1);
    assert!(none.contains("no policy is needed"), "{none}");
    let wrong = saker(["audit", "policy", "--check", &files.arg("policy.yaml")]).fails(1);
    assert!(wrong.contains("policy.yaml: not an audit policy"), "{wrong}");
}
