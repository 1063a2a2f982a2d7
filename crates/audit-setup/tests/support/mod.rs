//! Audit events as an API server would write them, and what a policy leaves of them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use proptest::{prelude::*, sample::select};
use saker_audit_setup::policy::{Level, Policy, Request, RequestTarget, Stage};
use saker_engine::{AuditEngine, Options, RulesHandle};
use saker_events::{audit, load_options};
use saker_rules::{
    load::{Loaded, SourceFile, load},
    ruleset::Matching,
};
use serde_json::{Value, json};

/// Rules that must load.
pub fn rules(files: &[SourceFile]) -> Loaded {
    let loaded = load(files, &load_options());
    assert!(loaded.successful(), "{}", saker_rules::report::text(&loaded.files));
    loaded
}

/// The default rules.
pub fn default_rules() -> Loaded {
    rules(&saker_rulesets::DEFAULT.map(|(name, text)| SourceFile::new(name, text)))
}

/// The file of upstream's rules, where there is one.
pub fn upstream_rules() -> Option<Loaded> {
    let path = std::path::Path::new(&std::env::var_os("SAKER_FIXTURES")?).join("rules/k8s_audit_rules.yaml");
    Some(rules(&[SourceFile::new("upstream", std::fs::read_to_string(path).expect("upstream's rules"))]))
}

/// Rule and output of each alert that the event raises.
pub fn alerts(loaded: &Loaded, event: &Value) -> Vec<(String, String)> {
    let rules = RulesHandle::new(Arc::clone(loaded.rules.as_ref().expect("rules")));
    let options = Options { matching: Matching::All, ..Options::new("node") };
    let mut engine = AuditEngine::new(rules, &options);
    let decoded = audit::decode(event.to_string().as_bytes(), &audit::Limits::default());
    let mut found = Vec::new();
    for event in decoded.events {
        engine.event(event, &mut |alert| found.push((alert.rule, alert.message)));
    }
    found
}

/// What the API server would write of an event that tells all: nothing, or the event without what the policy leaves
/// out.
pub fn written(policy: &Policy, event: &Value) -> Option<Value> {
    let stage: Stage = serde_json::from_value(event["stage"].clone()).expect("a stage");
    let level = policy.decide(&request(event)).at(stage);
    (level > Level::None).then(|| at_level(event, level, policy.omit_managed_fields))
}

/// The event as it is at a level.
pub fn at_level(event: &Value, level: Level, omit_managed_fields: bool) -> Value {
    let mut event = event.clone();
    event["level"] = json!(level.to_string());
    let object = event.as_object_mut().expect("an event");
    if level < Level::RequestResponse {
        object.remove("responseObject");
    }
    if level < Level::Request {
        object.remove("requestObject");
    }
    for key in ["requestObject", "responseObject"].iter().filter(|_| omit_managed_fields) {
        if let Some(Value::Object(metadata)) =
            object.get_mut(*key).and_then(|object| object.get_mut("metadata"))
        {
            metadata.remove("managedFields");
        }
    }
    event
}

/// The request that an event is about.
pub fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = &event["objectRef"];
    let target = if of["resource"].is_string() {
        RequestTarget::Resource {
            group: text(&of["apiGroup"]),
            resource: text(&of["resource"]),
            subresource: text(&of["subresource"]),
            namespace: text(&of["namespace"]),
            name: text(&of["name"]),
        }
    } else {
        let uri = text(&event["requestURI"]);
        RequestTarget::Path(uri.split('?').next().unwrap_or_default().to_owned())
    };
    let groups = event["user"]["groups"].as_array().into_iter().flatten().map(text).collect();
    Request { user: text(&event["user"]["username"]), groups, verb: text(&event["verb"]), target }
}

/// Events at level RequestResponse.
pub fn event() -> impl Strategy<Value = Value> {
    let target = prop_oneof![8 => resource(), 1 => path()];
    let code = select(vec![200, 201, 101, 403, 404, 500]);
    let decision = select(vec!["allow", "forbid"]);
    let stage = select(Stage::ALL.map(|stage| stage.to_string()).to_vec());
    (target, user(), stage, code, decision, object(), object()).prop_map(
        |(target, (user, groups), stage, code, decision, sent, answered)| {
            let mut event = json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a",
                "stage": stage, "stageTimestamp": "2026-01-02T03:04:05.000001Z",
                "user": {"username": user, "groups": groups}, "userAgent": "kubectl/1.35",
                "responseStatus": {"code": code},
                "annotations": {"authorization.k8s.io/decision": decision},
                "requestObject": sent, "responseObject": answered,
            });
            event.as_object_mut().expect("an event").extend(target.as_object().expect("a target").clone());
            event
        },
    )
}

/// Verb, path and object reference of a request for a resource.
fn resource() -> impl Strategy<Value = Value> {
    let table = include_str!("../../tables/resources.tsv").lines().filter(|line| !line.starts_with('#'));
    let mut all: Vec<(String, String, String)> = vec![
        ("example.com".into(), "things".into(), String::new()),
        ("example.com".into(), "things".into(), "status".into()),
        ("example.com".into(), "virtualservices".into(), String::new()),
        ("other.example.com".into(), "virtualservices".into(), "scale".into()),
    ];
    for line in table {
        let cells: Vec<&str> = line.split('\t').collect();
        let parts = cells[2].split_whitespace().chain([""]);
        all.extend(parts.map(|part| (cells[0].to_owned(), cells[1].to_owned(), part.to_owned())));
    }
    // What rules are about comes more often.
    let hot = ["pods", "configmaps", "secrets", "clusterroles", "services", "namespaces", "serviceaccounts"];
    let often: Vec<_> = all.iter().filter(|row| hot.contains(&row.1.as_str())).cloned().collect();
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let namespaces = select(vec!["", "default", "kube-system", "kube-public", "shop"]);
    let names = select(vec!["", "web", "cluster-admin", "system:node", "cluster-info"]);
    (prop_oneof![select(all), select(often)], select(verbs.to_vec()), namespaces, names).prop_map(
        |((group, resource, part), verb, namespace, name)| {
            let mut object = serde_json::Map::new();
            let members = [
                ("apiGroup", group.as_str()),
                ("resource", &resource),
                ("subresource", &part),
                ("namespace", namespace),
                ("name", name),
            ];
            object.extend(
                members.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), json!(v))),
            );
            let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
            json!({"verb": verb, "requestURI": format!("{root}/{resource}?command=sh"), "objectRef": object})
        },
    )
}

fn path() -> impl Strategy<Value = Value> {
    let paths =
        vec!["/healthz", "/livez?verbose", "/readyz/ping", "/version", "/openapi/v3", "/", "/api", "/logs/x"];
    let verbs = vec!["get", "post", "put", "delete", "patch", "head", "options"];
    (select(paths), select(verbs)).prop_map(|(path, verb)| json!({"verb": verb, "requestURI": path}))
}

fn user() -> impl Strategy<Value = (&'static str, Vec<&'static str>)> {
    select(vec![
        ("admin", vec!["system:masters"]),
        ("eve", vec!["system:authenticated"]),
        ("system:anonymous", vec!["system:unauthenticated"]),
        ("system:apiserver", vec!["system:masters"]),
        ("system:kube-scheduler", vec!["system:authenticated"]),
        ("system:node:n1", vec!["system:nodes", "system:authenticated"]),
        (
            "system:serviceaccount:kube-system:gc",
            vec!["system:serviceaccounts", "system:serviceaccounts:kube-system"],
        ),
        ("system:serviceaccount:shop:web", vec!["system:serviceaccounts", "system:serviceaccounts:shop"]),
    ])
}

fn object() -> impl Strategy<Value = Value> {
    let metadata = json!({"name": "given", "managedFields": [{"manager": "kubectl"}]});
    let spec = |spec: Value| json!({"metadata": metadata, "spec": spec});
    select(vec![
        json!({"metadata": metadata}),
        json!({"metadata": metadata, "data": {"aws_access_key_id": "x", "password": "y"}}),
        json!({"metadata": metadata, "data": {"color": "blue"}}),
        json!({"roleRef": {"name": "cluster-admin"}, "subjects": [{"kind": "User", "name": "eve"}]}),
        json!({"metadata": metadata, "rules": [{"apiGroups": ["*"], "resources": ["pods/exec"], "verbs": ["*"]}]}),
        spec(json!({"type": "NodePort", "ports": [{"port": 80}]})),
        spec(json!({"containers": [{"image": "nginx:1", "securityContext": {"privileged": true}}]})),
        spec(
            json!({"containers": [{"image": "nginx"}], "hostNetwork": true, "hostPID": true, "hostIPC": true}),
        ),
        spec(
            json!({"containers": [{"image": "a"}], "volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]}),
        ),
        spec(json!({"ephemeralContainers": [{"image": "busybox"}]})),
        spec(json!({"rules": [{"host": "a.example.com"}]})),
    ])
}

/// The events in a body or file, as plain JSON.
pub fn events_of(bytes: &[u8]) -> Vec<Value> {
    let decoded = audit::decode(bytes, &audit::Limits::default());
    let plain = |event: &audit::AuditEvent| serde_json::from_str(&event.json.to_string()).expect("JSON");
    decoded.events.iter().map(plain).collect()
}

/// Says on standard error what is left out.
pub fn skip(reason: &str) {
    use std::io::Write as _;
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
