//! A policy means what it means to an API server.

use std::collections::BTreeMap;

use saker_audit_setup::policy::{Level, Policy, Request, RequestTarget, Stage};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    policy: String,
    requests: BTreeMap<String, Level>,
}

/// `user:group verb group/resource/subresource?namespace#name`.
fn request(text: &str) -> Request {
    let words: Vec<&str> = text.split(' ').collect();
    let [who, verb, target] = words[..] else { panic!("not three words: {text}") };
    let mut who = who.split(':').map(str::to_owned);
    let system = who.clone().next().is_some_and(|user| user == "system");
    let user = if system { words[0].to_owned() } else { who.next().unwrap_or_default() };
    let groups = if system { Vec::new() } else { who.collect() };
    Request { user, groups, verb: verb.to_owned(), target: what(target) }
}

fn what(text: &str) -> RequestTarget {
    if text.starts_with('/') {
        return RequestTarget::Path(text.to_owned());
    }
    let (text, name) = text.split_once('#').unwrap_or((text, ""));
    let (text, namespace) = text.split_once('?').unwrap_or((text, ""));
    let parts: Vec<&str> = text.split('/').collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
    RequestTarget::Resource {
        group: if parts[0] == "-" { String::new() } else { part(0) },
        resource: part(1),
        subresource: part(2),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn policies_decide_as_in_the_api_server() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("cases/policy.yaml")).expect("cases that parse");
    assert!(!cases.is_empty());
    for Case { name, policy, requests } in cases {
        let policy = Policy::parse(&policy).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (text, want) in requests {
            let level = policy.decide(&request(&text)).at(Stage::ResponseComplete);
            assert_eq!(level, want, "{name}: {text}");
        }
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    let cases = [
        ("kind: Policy\napiVersion: audit.k8s.io/v1beta1", "takes 'audit.k8s.io/v1'"),
        ("kind: Role\napiVersion: audit.k8s.io/v1", "kind 'Role'"),
        ("kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: All}]", "All"),
        ("kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, verb: get}]", "verb"),
        ("rules: [", "not an audit policy"),
    ];
    for (text, why) in cases {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
