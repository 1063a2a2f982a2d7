//! The whole reconcile against an API server that remembers: what is written, in which order, and when nothing is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kube::{
    client::Body,
    runtime::{events::Reporter, reflector, watcher::Event},
};
use saker_crds::{FalcoRuleSpec, bundle::Manifest};
use serde_json::{Value, json};
use warp::http::{Method, Request, Response, StatusCode};

use super::{validate::tests as fixture, *};

/// Objects by path; every write in order; a status to answer lists with instead.
#[derive(Default)]
struct Server {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    broken: Option<StatusCode>,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        if let Some(status) = self.broken {
            return (status, json!({"kind": "Status", "status": "Failure", "code": status.as_u16()}));
        }
        if method == Method::GET {
            let below = format!("{path}/");
            let items: Vec<_> =
                self.objects.range(below.clone()..).take_while(|(p, _)| p.starts_with(&below)).collect();
            let items: Vec<_> = items.into_iter().map(|(_, object)| object).collect();
            return (StatusCode::OK, json!({"metadata": {}, "items": items}));
        }
        self.writes.push(format!("{method} {}", path.rsplit("/namespaces/").next().unwrap_or_default()));
        if method == Method::DELETE {
            let gone = self.objects.remove(path).unwrap_or_default();
            return (StatusCode::OK, gone);
        }
        self.objects.insert(path.to_owned(), body.clone());
        (StatusCode::OK, with_spec(body))
    }
}

/// A FalcoRule comes back whole and newer although only its status was sent.
fn with_spec(mut body: Value) -> Value {
    if body["kind"] == "FalcoRule" {
        body["spec"] = json!({"raw": ""});
        body["metadata"]["resourceVersion"] = "2".into();
    }
    body
}

fn client(server: &Shared) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
            let (status, answer) = server.lock().unwrap().answer(&parts.method, parts.uri.path(), body);
            let response = Response::builder().status(status).header("content-type", "application/json");
            Ok::<_, kube::Error>(response.body(Body::from(answer.to_string().into_bytes())).unwrap())
        }
    });
    Client::new(service, "ns")
}

fn context(server: &Shared, rules: Vec<FalcoRule>) -> Context {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client(server);
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    for rule in rules {
        writer.apply_watcher_event(&Event::InitApply(rule));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let (exceptions, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some("test".to_owned()) };
    Context {
        agents: Agents::new(Vec::new(), &client, "ns").unwrap(),
        recorder: Recorder::new(client.clone(), reporter),
        client,
        namespace: "ns".to_owned(),
        rules: store,
        exceptions,
        compiler: fixture::compiler().into(),
        metrics: Arc::new(Metrics::new().unwrap()),
        owner: None,
        memory: Mutex::default(),
    }
}

fn rule(id: &str, raw: &str) -> FalcoRule {
    let spec = FalcoRuleSpec { raw: Some(raw.to_owned()), enabled: true, ..FalcoRuleSpec::default() };
    let mut rule = fixture::rule(id, spec);
    rule.metadata.resource_version = Some("1".to_owned());
    rule
}

fn writes(server: &Shared) -> Vec<String> {
    std::mem::take(&mut server.lock().unwrap().writes)
}

fn manifest(server: &Shared) -> Manifest {
    let server = server.lock().unwrap();
    let map = &server.objects["/api/v1/namespaces/ns/configmaps/saker-manifest"];
    serde_json::from_str(map["data"]["manifest.json"].as_str().unwrap()).unwrap()
}

const GOOD: &str = "- list: a\n  items: [b]\n";
const BETTER: &str = "- list: a\n  items: [c]\n";

#[tokio::test]
async fn shards_come_first_and_nothing_is_written_twice() {
    let server = Shared::default();
    let context = context(&server, vec![rule("a/good", GOOD), rule("b/bad", "no rules")]);
    let (mut applied, progress) = reconcile(&context).await.unwrap();
    assert_eq!(progress, Progress::Converged, "there are no nodes to wait for");
    let shard = format!("PATCH ns/configmaps/{}", manifest(&server).shards[0].name);
    let written = writes(&server);
    let (bundle, mut statuses) = (written[..2].to_vec(), written[2..].to_vec());
    assert_eq!(bundle, [shard.as_str(), "PATCH ns/configmaps/saker-manifest"]);
    statuses.sort();
    let about =
        ["PATCH a/falcorules/good/status", "PATCH b/falcorules/bad/status", "POST a/events", "POST b/events"];
    assert_eq!(statuses, about);
    update_status(&context, &mut applied).await.unwrap();
    assert_eq!(writes(&server), [""; 0]);
    // The watch has not brought what was written: it is known all the same.
    reconcile(&context).await.unwrap();
    assert_eq!(writes(&server), [""; 0]);
    assert!(!is_outdated(&context, &applied));
}

#[tokio::test]
async fn the_bundle_before_stays_and_older_ones_go() {
    let server = Shared::default();
    let mut names = Vec::new();
    for raw in [GOOD, BETTER, "- list: a\n  items: [d]\n"] {
        reconcile(&context(&server, vec![rule("a/x", raw)])).await.unwrap();
        names.push(manifest(&server).shards[0].name.clone());
    }
    assert_eq!(manifest(&server).generation, 3);
    let deleted: Vec<_> = writes(&server).into_iter().filter(|write| write.starts_with("DELETE")).collect();
    assert_eq!(deleted, [format!("DELETE ns/configmaps/{}", names[0])]);
}

#[tokio::test]
async fn a_failed_list_writes_and_deletes_nothing() {
    let server = Shared::default();
    reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    writes(&server);
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS, StatusCode::GONE] {
        server.lock().unwrap().broken = Some(status);
        let error = reconcile(&context(&server, Vec::new())).await.err().unwrap();
        assert_eq!((error.step(), writes(&server).len()), ("dereference", 0), "{error}");
    }
}

#[tokio::test]
async fn a_forged_shard_gives_way_to_the_right_one() {
    let server = Shared::default();
    reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    writes(&server);
    let name = manifest(&server).shards[0].name.clone();
    let path = format!("/api/v1/namespaces/ns/configmaps/{name}");
    server.lock().unwrap().objects.get_mut(&path).unwrap()["binaryData"]["bundle.gz"] = "Zm9yZ2Vk".into();
    reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    let repair = writes(&server).into_iter().take(2).collect::<Vec<_>>();
    assert_eq!(repair, [format!("DELETE ns/configmaps/{name}"), format!("PATCH ns/configmaps/{name}")]);
}

#[tokio::test]
async fn another_generation_makes_the_bundle_outdated() {
    let server = Shared::default();
    let (applied, _) = reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    let mut newer = rule("a/x", BETTER);
    newer.metadata.generation = Some(2);
    assert!(is_outdated(&context(&server, vec![newer]), &applied));
    assert!(is_outdated(&context(&server, Vec::new()), &applied));
    assert_eq!(applied.validated.verdicts[0].resource.name(), "x");
}

/// As many rules as a large organisation has, and one that is broken among them.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rules_make_one_bundle() {
    let rules = (0..10_000).map(|i| {
        let field = if i == 5_000 { "fd.nmae" } else { "fd.name" };
        let condition = format!("evt.type = open and {field} = /many/{i}");
        let text =
            format!("- rule: Many {i}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n");
        rule(&format!("a/many-{i}"), &text)
    });
    let server = Shared::default();
    let mut context = context(&server, rules.collect());
    context.compiler = crate::default_rules::compiler().into();
    let (applied, _) = reconcile(&context).await.unwrap();
    let rejected: Vec<_> =
        applied.validated.verdicts.iter().filter(|v| v.outcome != validate::Outcome::Accepted).collect();
    assert_eq!(rejected.len(), 1, "{:?}", rejected.first());
    assert_eq!(rejected[0].resource.name(), "many-5000");
    assert_eq!(manifest(&server).shards.len(), 1, "a few hundred bytes of gzip for each");
}
