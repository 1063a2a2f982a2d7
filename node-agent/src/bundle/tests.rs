use std::sync::{Arc, Mutex};

use saker_crds::bundle::{MANIFEST_KEY, SHARD_KEY, pack};
use saker_rules::{
    binding::{Binding, Operator, Requirement},
    load::SourceFile,
};
use serde_json::{Value, json};
use warp::{Filter as _, Reply as _, http::StatusCode};

use super::*;

/// An API server that knows ConfigMaps by name, and streams nothing after the first list.
#[derive(Clone, Default)]
struct ApiServer {
    maps: Arc<Mutex<Vec<Value>>>,
    /// Labels of the node n1.
    labels: Arc<Mutex<Value>>,
}

impl ApiServer {
    /// The credentials to reach it.
    async fn start(&self, folder: &std::path::Path) -> Source {
        let (one, list) = (self.clone(), self.clone());
        let get = warp::path!("api" / "v1" / "namespaces" / "ns" / "configmaps" / String)
            .map(move |name: String| one.get(&name));
        let list = warp::path!("api" / "v1" / "namespaces" / "ns" / "configmaps")
            .and(warp::query::<Vec<(String, String)>>())
            .then(move |query| list.clone().list(query));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let labels = self.clone();
        let node = warp::path!("api" / "v1" / "nodes" / "n1").map(move || {
            let labels = labels.labels.lock().unwrap().clone();
            warp::reply::json(&json!({"metadata": {"name": "n1", "labels": labels}}))
        });
        tokio::spawn(warp::serve(get.or(list).or(node)).incoming(listener).run());
        let kubeconfig = folder.join("kubeconfig");
        let config = json!({
            "clusters": [{"name": "c", "cluster": {"server": url}}], "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Source { kubeconfig: Some(kubeconfig), ..source() }
    }

    fn get(&self, name: &str) -> warp::reply::Response {
        let found = self.maps.lock().unwrap().iter().find(|map| map["metadata"]["name"] == name).cloned();
        match found {
            Some(map) => warp::reply::json(&map).into_response(),
            None => warp::reply::with_status("no", StatusCode::NOT_FOUND).into_response(),
        }
    }

    async fn list(self, query: Vec<(String, String)>) -> warp::reply::Response {
        if query.iter().any(|(key, value)| key == "watch" && value == "true") {
            std::future::pending::<()>().await;
        }
        let named = |map: &&Value| map["metadata"]["name"] == "saker-manifest";
        let items: Vec<_> = self.maps.lock().unwrap().iter().filter(named).cloned().collect();
        let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items});
        warp::reply::json(&list).into_response()
    }

    /// Puts the ConfigMaps of a bundle, with one shard changed if wished.
    fn put(&self, bundle: &Bundle, tamper: impl Fn(&mut Vec<u8>)) {
        let (manifest, shards) = pack(&bundle.to_text(), None).unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        let mut maps = vec![json!({"metadata": {"name": "saker-manifest"}, "data": {MANIFEST_KEY: text}})];
        for mut shard in shards {
            tamper(&mut shard.bytes);
            let bytes = k8s_openapi::ByteString(shard.bytes);
            maps.push(json!({"metadata": {"name": shard.name}, "binaryData": {SHARD_KEY: bytes}}));
        }
        *self.maps.lock().unwrap() = maps;
    }
}

fn source() -> Source {
    let [namespace, manifest, node] = ["ns", "saker-manifest", "n1"].map(str::to_owned);
    Source { kubeconfig: None, namespace, manifest, node }
}

fn bundle() -> Bundle {
    Bundle::new(vec![SourceFile::new("falcorule/ns/a.yaml", "- list: a\n  items: [b]\n")])
}

async fn next(updates: &mut mpsc::Receiver<Update>) -> Update {
    tokio::time::timeout(Duration::from_mins(1), updates.recv())
        .await
        .expect("an update in time")
        .expect("a sender")
}

#[tokio::test]
async fn a_bundle_is_handed_over_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (api, cache) = (ApiServer::default(), Cache::new(folder.path().join("state")));
    api.put(&bundle(), |_| ());
    let source = api.start(folder.path()).await;
    assert!(cache.load().is_none());
    let mut updates = follow(source, cache.clone(), None).await.unwrap();
    assert!(matches!(next(&mut updates).await, Update::Bundle(b) if b.hash == bundle().hash));
    assert_eq!(cache.load().unwrap().hash, bundle().hash);
}

#[tokio::test]
async fn files_for_other_nodes_are_left_out_and_the_labels_are_kept() {
    let requirement = |value: &str| Requirement {
        key: "zone".to_owned(),
        operator: Operator::In,
        values: vec![value.to_owned()],
    };
    let file = |zone: &str| {
        let binding = Binding { machines: vec![requirement(zone)], ..Binding::default() };
        SourceFile { binding: Some(binding), ..SourceFile::new(zone, "- list: a\n  items: [b]\n") }
    };
    let selecting = Bundle::new([file("a"), file("b"), SourceFile::new("every", "")]);
    let folder = tempfile::tempdir().unwrap();
    let (api, cache) = (ApiServer::default(), Cache::new(folder.path().join("state")));
    *api.labels.lock().unwrap() = json!({"zone": "b"});
    api.put(&selecting, |_| ());
    let mut updates = follow(api.start(folder.path()).await, cache.clone(), None).await.unwrap();
    let Update::Bundle(own) = next(&mut updates).await else { panic!("no bundle") };
    assert_eq!(own.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["b", "every"]);
    assert_eq!(own.hash, selecting.hash, "it is announced as a whole");
    assert_eq!(cache.load().unwrap().files.len(), 3);
    assert_eq!(cache.load_labels(), [("zone".to_owned(), "b".to_owned())].into());
}

#[tokio::test]
async fn the_hash_of_the_operators_token_comes_with_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::default();
    api.put(&bundle(), |_| ());
    api.maps.lock().unwrap()[0]["data"][TOKEN_KEY] = "abc".into();
    let mut updates = follow(api.start(folder.path()).await, Cache::new(folder.path()), None).await.unwrap();
    assert!(matches!(next(&mut updates).await, Update::Token(Some(hash)) if hash == "abc"));
    assert!(matches!(next(&mut updates).await, Update::Bundle(_)));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_keeps_no_rules_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::default();
    api.put(&bundle(), |_| ());
    let file = folder.path().join("file");
    std::fs::write(&file, "a file where the folder should be").unwrap();
    let mut updates = follow(api.start(folder.path()).await, Cache::new(&file), None).await.unwrap();
    assert!(matches!(next(&mut updates).await, Update::Bundle(b) if b.hash == bundle().hash));
}

#[tokio::test]
async fn a_tampered_shard_is_refused_until_it_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::default();
    api.put(&bundle(), |bytes| bytes.push(0));
    let source = api.start(folder.path()).await;
    let mut updates = follow(source, Cache::new(folder.path().join("state")), None).await.unwrap();
    assert!(matches!(next(&mut updates).await, Update::Refused(reason) if reason.contains("tampered with")));
    api.put(&bundle(), |_| ());
    assert!(matches!(next(&mut updates).await, Update::Bundle(b) if b.hash == bundle().hash));
}

#[tokio::test]
async fn a_missing_shard_and_a_malformed_manifest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::default();
    let manifest = |text: &str| json!({"metadata": {"name": "saker-manifest"}, "data": {MANIFEST_KEY: text}});
    let source = api.start(folder.path()).await;
    let lost = json!({"hash": "x", "generation": 1, "shards": [{"name": "lost", "sha256": "y"}]}).to_string();
    for (text, expected) in [("{", "no manifest"), (lost.as_str(), "cannot fetch shard lost")] {
        *api.maps.lock().unwrap() = vec![manifest(text)];
        let mut updates = follow(source.clone(), Cache::new(folder.path()), None).await.unwrap();
        let update = next(&mut updates).await;
        assert!(matches!(&update, Update::Refused(reason) if reason.contains(expected)), "{update:?}");
    }
}

#[tokio::test]
async fn the_bundle_that_runs_already_is_not_handed_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::default();
    api.put(&bundle(), |_| ());
    let source = api.start(folder.path()).await;
    let hash = pack(&bundle().to_text(), None).unwrap().0.hash;
    let mut updates = follow(source, Cache::new(folder.path()), Some(hash)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(500), updates.recv()).await.is_err());
}

#[test]
fn a_damaged_cache_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    cache.store(&bundle()).unwrap();
    let path = folder.path().join("bundle");
    let good = std::fs::read(&path).unwrap();
    for cut in 0..good.len() {
        std::fs::write(&path, &good[..cut]).unwrap();
        assert!(cache.load().is_none(), "{cut} bytes of it");
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(cache.load().unwrap().hash, bundle().hash);
}

#[tokio::test]
async fn a_wrong_kubeconfig_is_an_error_that_names_it() {
    let kubeconfig = Some(PathBuf::from("/nowhere/kubeconfig"));
    let source = Source { kubeconfig, ..source() };
    let error = follow(source, Cache::new("/nowhere"), None).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/kubeconfig"), "{error}");
}
