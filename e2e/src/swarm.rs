//! Simulated nodes: real Node and Pod objects, and an agent's `/status` at each pod's address. Each takes a new bundle
//! over after a delay of its own.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};
use warp::{Filter, http::StatusCode, reply::Reply};

use crate::{Rest, cluster::NAMESPACE, rest::Request, say};

/// How often the manifest is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Until the slowest node has a new bundle.
const SPREAD: Duration = Duration::from_secs(1);

/// The bundle that is announced, and since when; and the one before.
#[derive(Clone, Default)]
struct Announced {
    hash: Option<String>,
    before: Option<String>,
    since: Option<Instant>,
}

struct Shared {
    count: usize,
    announced: Mutex<Announced>,
    /// Nodes from this number on do not answer.
    answering: AtomicU64,
    asked: AtomicU64,
    /// Files whose rules match all the time.
    matching: Vec<String>,
    started: Instant,
}

/// Nodes that exist until they are removed.
pub struct Swarm {
    shared: Arc<Shared>,
    rest: Rest,
}

impl Swarm {
    /// Makes the objects, and answers for their agents, with rising counts for the rules of some files.
    pub fn start(rest: &Rest, count: usize, matching: Vec<String>) -> anyhow::Result<Self> {
        let shared = Shared {
            count,
            announced: Mutex::default(),
            answering: AtomicU64::new(u64::MAX),
            asked: AtomicU64::new(0),
            matching,
            started: Instant::now(),
        };
        let swarm = Self { shared: Arc::new(shared), rest: rest.clone() };
        swarm.remove()?;
        let port = rest.runtime.block_on(swarm.listen())?;
        rest.send_all((0..count).map(node).collect())?;
        rest.send_all((0..count).map(|i| pod(i, port)).collect())?;
        rest.send_all((0..count).map(running).collect())?;
        rest.runtime.spawn(follow(rest.clone(), Arc::clone(&swarm.shared)));
        Ok(swarm)
    }

    /// Deletes the objects of this swarm, and of one that was not removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        let pods = self.rest.list(&format!("{PODS}?labelSelector=app.kubernetes.io/component=agent"))?;
        let pods = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
        let now = json!({"gracePeriodSeconds": 0});
        let pods = pods.map(|name| (Method::DELETE, format!("{PODS}/{name}"), now.clone()));
        self.rest.send_all(pods.collect())?;
        self.rest.delete_all(SAKER_NODES)?;
        let nodes = self.rest.list(&format!("{NODES}?labelSelector={LABEL}"))?;
        let nodes = nodes.iter().filter_map(|node| node["metadata"]["name"].as_str());
        self.rest
            .send_all(nodes.map(|name| (Method::DELETE, format!("{NODES}/{name}"), Value::Null)).collect())
    }

    /// Deletes one node and its pod; fails if something holds them.
    pub fn remove_node(&self, node: usize) -> anyhow::Result<()> {
        let now = json!({"gracePeriodSeconds": 0});
        self.rest.send(Method::DELETE, &format!("{PODS}/{}", name(node)), &now)?;
        let path = format!("{NODES}/{}", name(node));
        self.rest.send(Method::DELETE, &path, &Value::Null)?;
        anyhow::ensure!(self.rest.send(Method::GET, &path, &Value::Null).is_err(), "{path} is still there");
        Ok(())
    }

    /// So many answer from now on.
    pub fn answer(&self, count: usize) {
        self.shared.answering.store(count as u64, Relaxed);
    }

    /// How often agents were asked.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Relaxed)
    }

    /// One listener for each node, on the same port.
    async fn listen(&self) -> std::io::Result<u16> {
        let first = TcpListener::bind((address(0), 0)).await?;
        let port = first.local_addr()?.port();
        let mut listeners = vec![first];
        for i in 1..self.shared.count {
            listeners.push(TcpListener::bind((address(i), port)).await?);
        }
        for (i, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&self.shared);
            let status = warp::path!("status").map(move || shared.status(i));
            self.rest.runtime.spawn(warp::serve(status).incoming(listener).run());
        }
        Ok(port)
    }
}

impl Drop for Swarm {
    /// A test that failed leaves no nodes to the next.
    fn drop(&mut self) {
        if let Err(e) = self.remove() {
            say(&format!("simulated nodes are left: {e:#}"));
        }
    }
}

const PODS: &str = "/api/v1/namespaces/saker-system/pods";
/// Nothing here deletes what is owned by a node that is gone.
const SAKER_NODES: &str = "/apis/saker.dev/v1alpha1/sakernodes";
const NODES: &str = "/api/v1/nodes";
const LABEL: &str = "saker.dev/simulated";

impl Shared {
    fn status(&self, node: usize) -> warp::reply::Response {
        self.asked.fetch_add(1, Relaxed);
        if node as u64 >= self.answering.load(Relaxed) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let announced = lock(&self.announced).clone();
        let delay = SPREAD * u32::try_from(node + 1).unwrap_or(1) / u32::try_from(self.count).unwrap_or(1);
        let there = announced.since.is_some_and(|since| since.elapsed() >= delay);
        let bundle = if there { announced.hash } else { announced.before };
        let rules = json!({"loaded": 1, "rejected": 0, "blind": 0, "reasons": [], "last_error": null});
        let seconds = self.started.elapsed().as_secs();
        let hits =
            |file: &String| (file.clone(), json!({"matches": seconds, "last": seconds * 1_000_000_000}));
        let hits: serde_json::Map<_, _> = self.matching.iter().map(hits).collect();
        let sources = json!({"syscall": {"state": "running", "events": seconds, "lost": seconds}});
        let answer = json!({
            "hostname": name(node), "bundle": bundle, "version": "0.1.0", "started": 1, "rules": rules,
            "sources": sources, "hits": hits,
        });
        warp::reply::json(&answer).into_response()
    }
}

async fn follow(rest: Rest, shared: Arc<Shared>) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/saker-manifest");
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(map) = rest.ask(Method::GET, &path, &Value::Null).await else { continue };
        let text = map["data"]["manifest.json"].as_str().unwrap_or_default();
        let manifest: Value = serde_json::from_str(text).unwrap_or_default();
        let hash = manifest["hash"].as_str().map(str::to_owned);
        let mut announced = lock(&shared.announced);
        if hash.is_some() && hash != announced.hash {
            *announced = Announced { before: announced.hash.take(), hash, since: Some(Instant::now()) };
        }
    }
}

fn name(node: usize) -> String {
    format!("simulated-{node}")
}

/// One of the many loopback addresses.
fn address(node: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(node).unwrap_or_default().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

fn node(i: usize) -> Request {
    let metadata = json!({"name": name(i), "labels": {LABEL: "yes"}});
    (Method::POST, NODES.to_owned(), json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}))
}

fn pod(i: usize, port: u16) -> Request {
    let labels = json!({"app.kubernetes.io/name": "saker", "app.kubernetes.io/component": "agent"});
    let container = json!({"name": "agent", "image": "localhost/saker", "ports": [{"name": "http", "containerPort": port}]});
    let spec = json!({"nodeName": name(i), "serviceAccountName": "saker-agent", "containers": [container]});
    let metadata = json!({"name": name(i), "labels": labels});
    (
        Method::POST,
        PODS.to_owned(),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
    )
}

fn running(i: usize) -> Request {
    let ip = address(i).to_string();
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    (Method::PATCH, format!("{PODS}/{}/status", name(i)), status)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
