//! The whole reconcile against an API server that remembers: what is written, in which order, and when nothing is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex},
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    client::Body,
    core::PartialObjectMeta,
    runtime::{events::Reporter, reflector, watcher::Event},
};
use saker_crds::{FalcoRuleSpec, bundle::Manifest};
use saker_rules::{
    bundle::Bundle,
    load::{LoadOptions, Mode, load},
};
use serde_json::{Value, json};
use warp::http::{Method, Request, Response, StatusCode};

use super::{validate::tests as fixture, *};
use crate::owner::MANAGER;

/// Objects by path; every write in order; a status to answer lists with instead.
#[derive(Default)]
struct Server {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    events: Vec<Value>,
    broken: Option<StatusCode>,
}

type Shared = Arc<StdMutex<Server>>;

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
        if body["kind"] == "Event" {
            self.events.push(body.clone());
        }
        self.objects.insert(path.to_owned(), body.clone());
        (StatusCode::OK, with_spec(body))
    }
}

/// A FalcoRule comes back whole and newer although only its status was sent.
fn with_spec(mut body: Value) -> Value {
    if body["kind"] == "FalcoRule" || body["kind"] == "SakerNode" {
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
    let (nodes, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    let (written, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some("test".to_owned()) };
    Context {
        agents: Agents::new(Vec::new(), &client, "ns", None).unwrap(),
        nodes: Nodes { client: client.clone(), known: nodes, written },
        token_sha256: Some("hash".to_owned()),
        unreadable: crate::unreadable::Unreadable::default(),
        ledger: Mutex::default(),
        recorder: Recorder::new(client.clone(), reporter),
        client,
        namespace: "ns".to_owned(),
        rules: store,
        exceptions,
        compiler: fixture::compiler().into(),
        metrics: Arc::new(Metrics::new().unwrap()),
        owner: None,
    }
}

fn rule(id: &str, raw: &str) -> FalcoRule {
    let spec = FalcoRuleSpec { raw: Some(raw.to_owned()), ..FalcoRuleSpec::default() };
    let mut rule = fixture::rule(id, spec);
    rule.metadata.resource_version = Some("1".to_owned());
    rule
}

fn writes(server: &Shared) -> Vec<String> {
    std::mem::take(&mut server.lock().unwrap().writes)
}

fn manifest(server: &Shared) -> Manifest {
    manifest_of(&server.lock().unwrap())
}

fn manifest_of(server: &Server) -> Manifest {
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
    let about = ["PATCH a/falcorules/good/status", "PATCH b/falcorules/bad/status", "POST b/events"];
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
    assert_eq!(applied.verdicts[0].resource.name(), "x");
}

/// Rules as people write them, 600 bytes each.
fn many_rules(files: usize, each: usize) -> Vec<FalcoRule> {
    let text = |file: usize, i: usize| {
        let about = "why this matters and what to do about it ".repeat(11);
        format!(
            "- rule: Rule {file} {i}\n  desc: {about}\n  condition: evt.type = openat and fd.name = /etc/{file}/{i} and proc.name != p{i}\n  output: File opened (file=%fd.name command=%proc.cmdline)\n  priority: NOTICE\n"
        )
    };
    let file = |at| rule(&format!("ns{}/f{at}", at % 7), &(0..each).map(|i| text(at, i)).collect::<String>());
    (0..files).map(file).collect()
}

fn shards(server: &Shared) -> Vec<Vec<u8>> {
    let server = server.lock().unwrap();
    let bytes = |name: &str| {
        let map = &server.objects[&format!("/api/v1/namespaces/ns/configmaps/{name}")];
        serde_json::from_value::<k8s_openapi::ByteString>(map["binaryData"]["bundle.gz"].clone()).unwrap().0
    };
    manifest_of(&server).shards.iter().map(|shard| bytes(&shard.name)).collect()
}

#[tokio::test]
async fn five_thousand_rules_and_three_mebibytes_travel() {
    let server = Shared::default();
    reconcile(&context(&server, many_rules(500, 10))).await.unwrap();
    let text = saker_crds::bundle::unpack(&manifest(&server), &shards(&server)).unwrap();
    assert!(text.len() > 3 << 20, "{}", text.len());
    let bundle = Bundle::from_text(&text).unwrap();
    let options = LoadOptions { mode: Mode::Quarantine, ..LoadOptions::new(saker_events::schema()) };
    let loaded = load(&bundle.files, &options);
    assert_eq!((loaded.successful(), loaded.enabled()), (true, 5001), "with the default rule");
    let statuses = writes(&server).iter().filter(|write| write.ends_with("/status")).count();
    assert_eq!(statuses, 500, "one write for each object");
}

#[tokio::test]
async fn matches_are_written_once_a_minute() {
    let server = Shared::default();
    let matches = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let url = agent(&matches).await;
    let mut context = context(&server, vec![rule("a/x", GOOD)]);
    context.agents = Agents::new(vec![url], &context.client, "ns", None).unwrap();
    let (mut applied, _) = reconcile(&context).await.unwrap();
    writes(&server);
    let mut hits = Vec::new();
    for (matched, pause) in [(3, 1), (5, 1), (6, 60), (6, 60), (9, 60)] {
        matches.store(matched, std::sync::atomic::Ordering::Relaxed);
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(pause)).await;
        tokio::time::resume();
        update_status(&context, &mut applied).await.unwrap();
        hits.push((writes(&server).len(), applied.verdicts[0].resource.status().unwrap().hits));
    }
    assert_eq!(hits, [(1, Some(3)), (0, Some(3)), (1, Some(6)), (0, Some(6)), (1, Some(9))]);
}

/// An agent whose rules of `a/x` matched so often.
async fn agent(matches: &Arc<std::sync::atomic::AtomicU64>) -> String {
    use warp::Filter as _;
    let matches = Arc::clone(matches);
    let status = warp::path!("status").map(move || {
        let matches = matches.load(std::sync::atomic::Ordering::Relaxed);
        let hits = json!({"falcorule/a/x.yaml": {"matches": matches, "last": 7_000_000_000_u64}});
        warp::reply::json(&json!({"hostname": "n1", "started": 1, "hits": hits}))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(warp::serve(status).incoming(listener).run());
    url
}

#[tokio::test]
async fn a_node_gets_one_object_and_an_agent_outside_gets_none() {
    let server = Shared::default();
    let url = agent(&Arc::default()).await;
    let mut context = context(&server, Vec::new());
    context.agents =
        Agents::new(vec![url, "http://127.0.0.1:1".to_owned()], &context.client, "ns", None).unwrap();
    let (nodes, mut writer) = reflector::store();
    let node: PartialObjectMeta<Node> =
        serde_json::from_value(json!({"metadata": {"name": "n1", "uid": "u1"}})).unwrap();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitApply(node));
    writer.apply_watcher_event(&Event::InitDone);
    context.nodes.known = nodes;
    let (mut applied, _) = reconcile(&context).await.unwrap();
    let about_nodes =
        |writes: Vec<String>| writes.into_iter().filter(|w| w.contains("sakernodes")).collect::<Vec<_>>();
    let path = "/apis/saker.dev/v1alpha1/sakernodes/n1";
    assert_eq!(about_nodes(writes(&server)), [""; 0], "it has no answer to the bundle yet");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    tokio::time::resume();
    update_status(&context, &mut applied).await.unwrap();
    assert_eq!(about_nodes(writes(&server)), [format!("PATCH {path}"), format!("PATCH {path}/status")]);
    let owner = server.lock().unwrap().objects[path]["metadata"]["ownerReferences"][0].clone();
    assert_eq!((&owner["kind"], &owner["uid"]), (&json!("Node"), &json!("u1")));
    update_status(&context, &mut applied).await.unwrap();
    assert_eq!(about_nodes(writes(&server)), [""; 0], "not twice within a minute");
}

#[tokio::test]
async fn what_was_refused_and_is_right_again_recovers() {
    let server = Shared::default();
    let (applied, _) = reconcile(&context(&server, vec![rule("a/x", "no rules")])).await.unwrap();
    let refused = applied.verdicts[0].resource.status().cloned();
    assert_eq!(event_reasons(&server), ["Rejected"]);
    let better = FalcoRule { status: refused, ..rule("a/x", GOOD) };
    reconcile(&context(&server, vec![better])).await.unwrap();
    assert_eq!(event_reasons(&server).last().map(String::as_str), Some("Recovered"));
}

fn event_reasons(server: &Shared) -> Vec<String> {
    server
        .lock()
        .unwrap()
        .events
        .iter()
        .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn deleted_config_maps_are_made_again() {
    let server = Shared::default();
    reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    let before = manifest(&server);
    writes(&server);
    server.lock().unwrap().objects.retain(|path, _| !path.contains("configmaps"));
    reconcile(&context(&server, vec![rule("a/x", GOOD)])).await.unwrap();
    let again = manifest(&server);
    assert_eq!((again.hash, again.shards), (before.hash, before.shards));
    let repaired: Vec<_> = writes(&server).into_iter().filter(|write| write.contains("configmaps")).collect();
    assert_eq!(
        repaired.last().map(String::as_str),
        Some("PATCH ns/configmaps/saker-manifest"),
        "the manifest last"
    );
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
    context.compiler = crate::default_rules::compiler(crate::tenancy::Tenancy::default()).into();
    let (applied, _) = reconcile(&context).await.unwrap();
    let rejected: Vec<_> =
        applied.verdicts.iter().filter(|v| v.outcome != validate::Outcome::Accepted).collect();
    assert_eq!(rejected.len(), 1, "{:?}", rejected.first());
    assert_eq!(rejected[0].resource.name(), "many-5000");
    assert_eq!(manifest(&server).shards.len(), 1, "a few hundred bytes of gzip for each");
}
