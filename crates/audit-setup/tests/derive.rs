//! What rules lead to which policy, and what a policy leaves rules blind to.

mod support;

use saker_audit_setup::{
    AuditRule, check, derive,
    policy::{Level, Policy},
};
use saker_rules::load::{Loaded, SourceFile};
use serde::Deserialize;
use support::rules;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    condition: String,
    #[serde(default)]
    output: String,
    policy: serde_json::Value,
    #[serde(default)]
    remarks: usize,
}

fn load(condition: &str, output: &str) -> Loaded {
    let rule = serde_json::json!([{
        "rule": "it", "desc": "d", "source": "k8s_audit", "priority": "INFO",
        "condition": condition, "output": format!("it {output}"),
    }]);
    rules(&[SourceFile::new("rule", rule.to_string())])
}

/// What counts of a policy, filled up with what a case need not say.
fn policy(mut value: serde_json::Value) -> Policy {
    let object = value.as_object_mut().expect("a mapping");
    object.insert("apiVersion".into(), "audit.k8s.io/v1".into());
    object.insert("kind".into(), "Policy".into());
    object.entry("omitManagedFields").or_insert(true.into());
    Policy::parse(&value.to_string()).unwrap_or_else(|e| panic!("{e}: {value}"))
}

#[test]
fn rules_lead_to_the_policies_of_the_cases() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("cases/derive.yaml")).expect("cases that parse");
    assert!(!cases.is_empty());
    for Case { name, condition, output, policy: want, remarks } in cases {
        let loaded = load(&condition, &output);
        let derived = derive(&AuditRule::all(&loaded));
        let text = derived.to_string();
        let got = Policy::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        let want = policy(want);
        let lines = |policy: &Policy| policy.rules.iter().map(|rule| rule.value.clone()).collect::<Vec<_>>();
        assert_eq!(lines(&got), lines(&want), "{name}:\n{text}");
        let head = |policy: &Policy| (policy.omit_stages.clone(), policy.omit_managed_fields);
        assert_eq!(head(&got), head(&want), "{name}:\n{text}");
        assert_eq!(derived.remarks.len(), remarks, "{name}: {:?}", derived.remarks);
    }
}

const SPIED: &str =
    "ka.verb = create and ka.target.resource = configmaps and ka.req.configmap.obj contains x";

#[test]
fn a_policy_that_is_too_narrow_is_told_with_its_line() {
    let loaded = load(SPIED, "%ka.resp.name");
    let rules = AuditRule::all(&loaded);
    let narrow =
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  verbs: [get]\n- level: ";
    // Level of line 6, whether the rule is blind.
    for (level, blind) in [("None", true), ("Metadata", true), ("Request", false)] {
        let policy = Policy::parse(&format!("{narrow}{level}")).expect("a policy");
        let gaps = check(&policy, &rules);
        assert_eq!(gaps.len(), 1, "{level}");
        assert_eq!(
            (gaps[0].blind, gaps[0].wholly, gaps[0].needs),
            (blind, blind, Level::RequestResponse),
            "{level}"
        );
        let unseen = &gaps[0].unseen;
        assert_eq!((unseen.len(), unseen[0].line), (1, 6), "{level}: {unseen:?}");
        assert!(unseen[0].requests.contains("create configmaps"), "{unseen:?}");
        let fixed = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}", gaps[0].fix[0].rule);
        assert_eq!(check(&Policy::parse(&fixed).expect(&fixed), &rules), [], "{level}");
    }
    let enough = Policy::parse(&format!("{narrow}RequestResponse")).expect("a policy");
    assert_eq!(check(&enough, &rules), []);
}

#[test]
fn a_rule_may_be_blind_to_some_requests_only() {
    let loaded =
        load("ka.target.resource = secrets and ka.verb in (get, list) and ka.user.name != admin", "");
    let rules = AuditRule::all(&loaded);
    let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n";
    // A line of the policy, and a request that the rule does not see.
    let cases = [
        ("{level: None, users: [admin]}", None),
        ("{level: None, users: [eve]}", Some("get secrets by eve")),
        ("{level: None, verbs: [list]}", Some("list secrets")),
        ("{level: None, namespaces: [shop]}", Some("get secrets")),
        ("{level: None, resources: [{group: '', resources: [pods]}]}", None),
        ("{level: None, nonResourceURLs: ['*']}", None),
        ("{level: Metadata, omitStages: [RequestReceived]}", None),
    ];
    for (line, unseen) in cases {
        let policy = Policy::parse(&format!("{head}- {line}\n- level: Metadata\n")).expect(line);
        let gaps = check(&policy, &rules);
        assert_eq!(gaps.first().map(|gap| (gap.blind, gap.wholly)), unseen.map(|_| (true, false)), "{line}");
        let told =
            gaps.first().is_none_or(|gap| gap.unseen[0].requests.iter().any(|r| Some(r.as_str()) == unseen));
        assert!(told, "{line}: {gaps:?}");
    }
}
