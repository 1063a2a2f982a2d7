//! An API server that knows ConfigMaps and nothing else: lists, watches that tell of changes, and faults.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use saker_crds::bundle::{MANIFEST_KEY, MANIFEST_NAME, Manifest, SHARD_KEY, Shard};
use serde_json::{Value, json};

/// How often a watch looks whether it shall end.
const LOOK: Duration = Duration::from_millis(50);

/// What is in the cluster.
#[derive(Default)]
struct Objects {
    maps: BTreeMap<String, Value>,
    version: u64,
    /// Every change of the manifest, with its version.
    history: Vec<(u64, Value)>,
    /// Grows when every open watch shall end.
    cuts: u64,
    /// The next watch is told that its version is gone.
    gone: bool,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<Objects>,
    changed: Condvar,
    down: AtomicBool,
}

/// Serves on a port of its own; objects outlive a stop.
#[derive(Clone)]
pub(crate) struct ApiServer {
    shared: Arc<Shared>,
    port: u16,
}

impl ApiServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { shared: Arc::default(), port: listener.local_addr().unwrap().port() };
        server.accept(listener);
        server
    }

    /// No longer answers: closes what is open, and whatever comes. It keeps its port, which another test might take.
    pub(crate) fn stop(&self) {
        self.shared.down.store(true, Relaxed);
        self.cut();
    }

    /// Answers again.
    pub(crate) fn go_on(&self) {
        self.shared.down.store(false, Relaxed);
    }

    /// Ends every open watch.
    pub(crate) fn cut(&self) {
        self.objects().cuts += 1;
        self.shared.changed.notify_all();
    }

    /// Ends every open watch, and says 410 to the next.
    pub(crate) fn forget_history(&self) {
        self.objects().gone = true;
        self.cut();
    }

    /// Credentials to reach it.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join("kubeconfig");
        let config = json!({
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Puts the shards, then the manifest, and forgets older shards.
    pub(crate) fn put(&self, manifest: &Manifest, shards: &[Shard]) {
        let mut objects = self.objects();
        objects.maps.retain(|name, _| name == MANIFEST_NAME);
        for shard in shards {
            let bytes = k8s_openapi::ByteString(shard.bytes.clone());
            let map = json!({"metadata": {"name": shard.name}, "binaryData": {SHARD_KEY: bytes}});
            objects.maps.insert(shard.name.clone(), map);
        }
        drop(objects);
        self.put_manifest(&serde_json::to_string(manifest).unwrap());
    }

    /// Puts a text in the manifest's place.
    pub(crate) fn put_manifest(&self, text: &str) {
        self.change("MODIFIED", |objects, version| {
            let metadata = json!({"name": MANIFEST_NAME, "namespace": "ns", "resourceVersion": version});
            let map = json!({"metadata": metadata, "data": {MANIFEST_KEY: text}});
            objects.maps.insert(MANIFEST_NAME.to_owned(), map.clone());
            map
        });
    }

    /// Deletes the manifest and all shards.
    pub(crate) fn delete_all(&self) {
        self.change("DELETED", |objects, version| {
            let mut manifest = objects.maps[MANIFEST_NAME].clone();
            objects.maps.clear();
            manifest["metadata"]["resourceVersion"] = version.into();
            manifest
        });
    }

    fn change(&self, kind: &str, change: impl FnOnce(&mut Objects, String) -> Value) {
        let mut objects = self.objects();
        objects.version += 1;
        let version = objects.version;
        let object = change(&mut objects, version.to_string());
        objects.history.push((version, json!({"type": kind, "object": object})));
        drop(objects);
        self.shared.changed.notify_all();
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.shared.objects.lock().unwrap()
    }

    fn accept(&self, listener: TcpListener) {
        let server = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.shared.down.load(Relaxed) {
                    continue;
                }
                let server = server.clone();
                // A client that goes away is no fault.
                thread::spawn(move || drop(server.answer(stream)));
            }
        });
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        for header in lines {
            if header?.is_empty() {
                break;
            }
        }
        let target = line.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path.strip_prefix("/api/v1/namespaces/ns/configmaps") {
            Some("") if query.contains("watch=true") => self.watch(stream, query),
            Some("") => self.list(&mut stream),
            Some(name) => self.get(&mut stream, name.trim_start_matches('/')),
            None => reply(&mut stream, 404, &json!({})),
        }
    }

    fn get(&self, stream: &mut TcpStream, name: &str) -> std::io::Result<()> {
        let found = self.objects().maps.get(name).cloned();
        reply(stream, if found.is_some() { 200 } else { 404 }, &found.unwrap_or_else(|| failure(404)))
    }

    fn list(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let objects = self.objects();
        let items: Vec<_> = objects.maps.get(MANIFEST_NAME).into_iter().cloned().collect();
        let metadata = json!({"resourceVersion": objects.version.to_string()});
        drop(objects);
        let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items});
        reply(stream, 200, &list)
    }

    fn watch(&self, mut stream: TcpStream, query: &str) -> std::io::Result<()> {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")?;
        let mut objects = self.objects();
        if std::mem::take(&mut objects.gone) {
            return writeln!(stream, "{}", json!({"type": "ERROR", "object": failure(410)}));
        }
        let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let mut seen: u64 = version.unwrap_or_default().parse().unwrap_or(0);
        let cuts = objects.cuts;
        while objects.cuts == cuts {
            let new: Vec<_> = objects.history.iter().filter(|(version, _)| *version > seen).collect();
            for (_, event) in &new {
                writeln!(stream, "{event}")?;
            }
            seen = new.last().map_or(seen, |(version, _)| *version);
            objects = self.shared.changed.wait_timeout(objects, LOOK).unwrap().0;
        }
        Ok(())
    }
}

fn failure(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Expired", "message": "test"})
}

fn reply(stream: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
}
