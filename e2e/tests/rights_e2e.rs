//! The rights that the chart gives are those that the programs used in the end-to-end tests: none is missing, none is
//! there in vain. What they used is in the audit logs of the API servers, after all other tests.

use std::{collections::BTreeSet, env, fs};

use saker_e2e::{Cluster, NAMESPACE, checkout, say};
use serde_json::Value;

/// API group, resource with its subresource, verb.
type Right = (String, String, String);

/// Rights for what the tests need not bring about.
const RARE: &[(&str, &str, &str)] = &[
    // An Event that is told again within minutes is counted up.
    ("events.k8s.io", "events", "patch"),
    // Exceptions are tested after audit_setup_e2e deletes a role, behind which the log is not read any more.
    ("saker.dev", "falcoruleexceptions/status", "patch"),
];

#[test]
fn the_rights_given_are_those_used() {
    let Some(logs) = env::var_os("SAKER_AUDIT_LOGS") else {
        say("skipped: no audit logs (make e2e has them in the end)");
        return;
    };
    if logs.is_empty() {
        return; // `make e2e` has them later
    }
    let read = |path| fs::read_to_string(path).expect("an audit log");
    let events: Vec<_> = env::split_paths(&logs).flat_map(|log| events(&read(log))).collect();
    for account in ["saker-agent", "saker-operator"] {
        let (given, used) = (given(account), used(&events, account));
        say(&format!("{account}: {} rights given, {} used", given.len(), used.len()));
        let rare = |right: &Right| RARE.contains(&(right.0.as_str(), right.1.as_str(), right.2.as_str()));
        let vain: Vec<_> = given.difference(&used).filter(|right| !rare(right)).collect();
        let missing: Vec<_> = used.difference(&given).collect();
        assert!(vain.is_empty() && missing.is_empty(), "{account}: in vain {vain:?}, missing {missing:?}");
    }
}

/// What the chart's Roles and ClusterRoles of this name give.
fn given(account: &str) -> BTreeSet<Right> {
    let chart = checkout("charts/saker");
    let rendered = Cluster::offline_helm(&["template", "saker", &chart, "--namespace", NAMESPACE]);
    let rendered = rendered.expect("a chart that renders");
    let objects = rendered.split("\n---\n").filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    let of_account = |object: &Value| {
        let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
        kind.is_some_and(|kind| kind.ends_with("Role")) && name.is_some_and(|name| name.starts_with(account))
    };
    let rules =
        objects.filter(of_account).flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default());
    rules.flat_map(|rule| rights(&rule)).collect()
}

/// Every combination of a rule.
fn rights(rule: &Value) -> Vec<Right> {
    let texts = |key: &str| {
        let items = rule[key].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut rights = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            rights.extend(texts("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    assert!(!rights.iter().any(|(g, r, v)| [g, r, v].iter().any(|part| *part == "*")), "a wildcard: {rule}");
    rights
}

/// What happened until the release was removed, and its rights with it.
fn events(log: &str) -> Vec<Value> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let removes_rights = |event: &Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        event["verb"] == "delete" && (resource.starts_with("role") || resource.starts_with("clusterrole"))
    };
    events.take_while(|event| !removes_rights(event)).collect()
}

/// What an account did; it must not have tried more than it may.
fn used(events: &[Value], account: &str) -> BTreeSet<Right> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let ours = events.iter().filter(|event| event["user"]["username"] == user.as_str());
    ours.flat_map(|event| {
        let allowed = event["annotations"]["authorization.k8s.io/decision"] != "forbid";
        assert!(allowed, "refused: {event}");
        rights_used(event)
    })
    .collect()
}

/// The right that a request took; that which made an object by applying it took the right to create, too.
fn rights_used(event: &Value) -> Vec<Right> {
    let right = right(event);
    let made = event["verb"] == "patch" && event["responseStatus"]["code"] == 201;
    let create =
        right.clone().filter(|_| made).map(|(group, resource, _)| (group, resource, "create".to_owned()));
    right.into_iter().chain(create).collect()
}

fn right(event: &Value) -> Option<Right> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let object = &event["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", object["resource"].as_str()?),
        None => text(&object["resource"])?,
    };
    Some((text(&object["apiGroup"]).unwrap_or_default(), resource, text(&event["verb"])?))
}
