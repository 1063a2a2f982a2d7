//! Stands between a program and the API server: remembers what was asked, and injects faults.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use futures::{Stream, stream};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};
use warp::{
    Filter,
    http::{HeaderMap, Method, StatusCode},
    hyper::body::Bytes,
    path::FullPath,
    reply::{Reply, Response},
};

use crate::{Cluster, Rest, rest};

/// What was asked, and what became of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// How.
    pub method: String,
    /// For what, without the query.
    pub path: String,
    /// The answer.
    pub status: u16,
}

impl Asked {
    /// Whether it could change something.
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// Decides which status a request is answered with instead of being passed on; it gets the number of the request.
pub type Fault = fn(u64) -> Option<u16>;

struct Shared {
    server: String,
    http: reqwest::Client,
    asked: Mutex<Vec<Asked>>,
    fault: Mutex<Option<Fault>>,
    /// Grows when every open watch shall end.
    cut: watch::Sender<u64>,
}

/// Serves plain HTTP on loopback until the runtime of the given connection ends.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Passes everything on.
    pub fn start(cluster: &Cluster, rest: &Rest) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            server: rest::server(cluster)?,
            // Watches last longer than any timeout.
            http: rest::builder(cluster)?.timeout(std::time::Duration::from_hours(1)).build()?,
            asked: Mutex::default(),
            fault: Mutex::default(),
            cut: watch::Sender::default(),
        });
        let listener = rest.runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        rest.runtime.spawn(warp::serve(routes(Arc::clone(&shared))).incoming(listener).run());
        Ok(Self { shared, address })
    }

    /// The kubeconfig, with this proxy in the place of the API server.
    pub fn kubeconfig(&self, original: &Path) -> anyhow::Result<PathBuf> {
        let text = fs::read_to_string(original)?;
        let line = text.lines().find(|line| line.starts_with("clusters:")).context("no clusters")?;
        let ours = format!("clusters: [{{name: e2e, cluster: {{server: \"http://{}\"}}}}]", self.address);
        let path = original.with_extension(format!("{}.kubeconfig", self.address.port()));
        fs::write(&path, text.replace(line, &ours))?;
        Ok(path)
    }

    /// What was asked since the last call.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared.asked))
    }

    /// Injects a fault, or none.
    pub fn inject(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Ends every open watch.
    pub fn cut_watches(&self) {
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "what our own programs send in a test is small")]
fn routes(shared: Arc<Shared>) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .then(move |method, path: FullPath, query, headers, body| {
            answer(Arc::clone(&shared), method, path.as_str().to_owned(), query, headers, body)
        })
}

async fn answer(
    shared: Arc<Shared>,
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = lock(&shared.fault).and_then(|fault| fault(lock(&shared.asked).len() as u64));
    let response = match fault {
        Some(code) => refusal(code),
        None => pass_on(&shared, method.clone(), &format!("{path}?{query}"), headers, body).await,
    };
    let status = response.status().as_u16();
    lock(&shared.asked).push(Asked { at: Instant::now(), method: method.to_string(), path, status });
    response
}

fn refusal(code: u16) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "injected by the test",
        "reason": if code == 410 { "Expired" } else { "InternalError" },
    });
    warp::reply::with_status(warp::reply::json(&body), StatusCode::from_u16(code).unwrap_or_default())
        .into_response()
}

async fn pass_on(
    shared: &Shared,
    method: Method,
    target: &str,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    headers.remove("host");
    let request =
        shared.http.request(method, format!("{}{target}", shared.server)).headers(headers).body(body);
    match request.send().await {
        Ok(answer) => {
            let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
            let mut response = warp::reply::stream(parts(answer, shared.cut.subscribe())).into_response();
            *response.status_mut() = status;
            response.headers_mut().extend(kind.map(|kind| (warp::http::header::CONTENT_TYPE, kind)));
            response
        }
        Err(_) => refusal(502),
    }
}

/// The body as it comes, until it ends or is cut, in the middle of an object, too.
fn parts(answer: reqwest::Response, cut: watch::Receiver<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold((answer, cut), |(mut answer, mut cut)| async move {
        tokio::select! {
            chunk = answer.chunk() => Some((Ok(chunk.ok()??), (answer, cut))),
            _ = cut.changed() => None,
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
