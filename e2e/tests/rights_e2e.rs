//! The rights that the chart gives are those that the programs used in the end-to-end tests: none is missing, none is
//! there in vain. What they asked for is in the audit logs of the API servers, after all other tests.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use saker_e2e::{Cluster, NAMESPACE, checkout, say};
use serde_json::Value;

/// API group, resource with its subresource, verb.
type Right = (String, String, String);

/// Rights for what the tests need not bring about.
const RARE: &[(&str, &str, &str)] = &[
    // An Event that is told again within minutes is counted up.
    ("events.k8s.io", "events", "patch"),
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
    let logs: Vec<_> = env::split_paths(&logs).collect();
    for account in ["saker-agent", "saker-operator"] {
        let (rules, requests) = (rules(account), requests(&logs, account));
        let given: BTreeSet<_> = rules.iter().flat_map(|rule| &rule.rights).collect();
        let used: BTreeSet<_> = requests.iter().filter(|r| !r.refused).map(|r| &r.right).collect();
        // A test may take rights away, or begin before they are there: what was refused then is given all the same.
        let refused = requests.iter().filter(|request| request.refused).count();
        say(&format!(
            "{account}: {} rights given, {} used, {refused} requests refused",
            given.len(),
            used.len()
        ));
        let rare = |(group, resource, verb): &Right| RARE.contains(&(group, resource, verb));
        let vain: Vec<_> = given.difference(&used).filter(|right| !rare(right)).collect();
        let missing: Vec<_> =
            requests.iter().filter(|request| !rules.iter().any(|rule| rule.gives(request))).collect();
        assert!(vain.is_empty() && missing.is_empty(), "{account}: in vain {vain:?}, missing {missing:?}");
    }
}

/// One rule of a Role or of a ClusterRole.
struct Rule {
    /// Where it holds; everywhere if there is none.
    namespace: Option<String>,
    /// For which objects; all if there are none.
    names: Vec<String>,
    rights: Vec<Right>,
}

impl Rule {
    fn gives(&self, request: &Request) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace);
        let this = self.names.is_empty() || self.names.contains(&request.name);
        here && this && self.rights.contains(&request.right)
    }
}

/// What the chart's Roles and ClusterRoles of this name give.
fn rules(account: &str) -> Vec<Rule> {
    let chart = checkout("charts/saker");
    let rendered = Cluster::offline_helm(&["template", "saker", &chart, "--namespace", NAMESPACE]);
    let rendered = rendered.expect("a chart that renders");
    let objects = rendered.split("\n---\n").filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    let of_account = |object: &Value| {
        let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
        kind.is_some_and(|kind| kind.ends_with("Role")) && name.is_some_and(|name| name.starts_with(account))
    };
    objects.filter(of_account).flat_map(|role| rules_of(&role)).collect()
}

fn rules_of(role: &Value) -> Vec<Rule> {
    let namespace = role["metadata"]["namespace"].as_str();
    let rules = role["rules"].as_array().into_iter().flatten();
    let rule = |rule| Rule {
        namespace: namespace.map(str::to_owned),
        names: texts(rule, "resourceNames"),
        rights: rights(rule),
    };
    rules.map(rule).collect()
}

fn texts(rule: &Value, key: &str) -> Vec<String> {
    let items = rule[key].as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every combination of a rule.
fn rights(rule: &Value) -> Vec<Right> {
    let mut rights = Vec::new();
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            let verbs = texts(rule, "verbs").into_iter();
            rights.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    assert!(!rights.iter().any(|(g, r, v)| [g, r, v].iter().any(|part| *part == "*")), "a wildcard: {rule}");
    rights
}

/// What an account asked for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    right: Right,
    namespace: String,
    name: String,
    /// For want of the right.
    refused: bool,
}

fn requests(logs: &[PathBuf], account: &str) -> BTreeSet<Request> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let mut requests = BTreeSet::new();
    for log in logs {
        let file = File::open(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        // Most lines are of others, and some of them long.
        let lines = BufReader::new(file).lines().map(|line| line.expect("an audit log that can be read"));
        let events = lines.filter(|line| line.contains(&user)).filter_map(|line| event(&line));
        requests
            .extend(events.filter(|event| event["user"]["username"] == *user).flat_map(|e| requested(&e)));
    }
    requests
}

/// Nothing for the last line of an API server that was ended.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// What a request asks for; one that makes an object by applying it asks for the right to create, too.
fn requested(event: &Value) -> Vec<Request> {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&object["namespace"]), text(&object["name"]));
    let refused = event["annotations"]["authorization.k8s.io/decision"] == "forbid";
    let made = event["verb"] == "patch" && event["responseStatus"]["code"] == 201;
    let right = right(event);
    let create =
        right.clone().filter(|_| made).map(|(group, resource, _)| (group, resource, "create".to_owned()));
    let request = |right| Request { right, namespace: namespace.clone(), name: name.clone(), refused };
    right.into_iter().chain(create).map(request).collect()
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
