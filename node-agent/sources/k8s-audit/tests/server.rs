//! The endpoint over real connections.

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use saker_source_k8s_audit::{
    Access, AuditEvent, Bounds, Config, Connections, Counters, Intake, Json, LEVELS, OUTCOMES, Reason,
    STAGES, listen, routes, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use warp::Filter;

/// A running endpoint, with a route of the agent's beside it.
struct Endpoint {
    address: std::net::SocketAddr,
    counters: Arc<Counters>,
    taken: Arc<Mutex<Vec<AuditEvent>>>,
    overloaded: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

fn start(config: Config, bounds: Bounds) -> Endpoint {
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let counters = Arc::<Counters>::default();
    let (taken, overloaded) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
    let handler = {
        let (taken, overloaded) = (taken.clone(), overloaded.clone());
        move |events| {
            let full = overloaded.load(Relaxed);
            if !full {
                taken.lock().unwrap().extend::<Vec<_>>(events);
            }
            std::future::ready(if full { Intake::Overloaded } else { Intake::Accepted })
        }
    };
    let healthz = warp::path!("healthz").map(|| warp::reply::Response::new("fine".into()));
    let routes = routes(config, Access::default(), counters.clone(), handler).or(healthz).unify();
    let connections = Connections { tls: None, bounds };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    let server = tokio::spawn(serve(listener, routes, connections, counters.clone(), shutdown));
    Endpoint { address, counters, taken, overloaded, stop, server }
}

fn default() -> Endpoint {
    start(Config::default(), Bounds::default())
}

/// How long the tests wait for anything; who holds up a connection may do so for longer.
const PATIENCE: Duration = Duration::from_mins(1);
const LONGER: Duration = Duration::from_mins(10);

impl Endpoint {
    /// Sends bytes and gives back all that is answered until the connection is closed.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no answer").ok();
        String::from_utf8(answer).unwrap()
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        self.send(format!("{head}Content-Length: {length}\r\n{headers}\r\n{body}").as_bytes()).await
    }

    fn requests(&self, outcome: &str) -> u64 {
        let at = OUTCOMES.iter().position(|name| *name == outcome).unwrap();
        self.counters.requests[at].load(Relaxed)
    }

    fn rejected(&self, reason: &str) -> u64 {
        let at = Reason::NAMES.iter().position(|name| *name == reason).unwrap();
        self.counters.rejected[at].load(Relaxed)
    }

    fn ids(&self) -> Vec<String> {
        let id =
            |event: &AuditEvent| event.json.get("auditID").and_then(Json::as_str).unwrap_or("?").to_owned();
        self.taken.lock().unwrap().iter().map(id).collect()
    }
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn event(id: &str) -> String {
    format!(
        r#"{{"kind":"Event","level":"Metadata","stage":"Panic","auditID":"{id}","stageTimestamp":"2026-01-01T00:00:00Z"}}"#
    )
}

#[tokio::test]
async fn the_sample_event_is_taken_as_curl_sends_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/examples/sample-event.json");
    let sample = std::fs::read_to_string(file).unwrap();
    let endpoint = default();
    for (path, form) in [
        ("/k8s-audit", "Content-Type: application/json\r\n"),
        ("/k8s-audit", "Content-Type: application/x-www-form-urlencoded\r\n"),
        ("/k8s_audit?timeout=30s", ""),
    ] {
        assert_eq!(status(&endpoint.post(path, form, &sample).await), 200);
    }
    let taken = endpoint.taken.lock().unwrap();
    let [event, _, _] = taken.as_slice() else { panic!("each post by hand counts, not {}", taken.len()) };
    assert_eq!(event.json.at(&["user", "username"]).and_then(Json::as_str), Some("system:anonymous"));
    assert_eq!(endpoint.counters.duplicates.load(Relaxed), 0);
    let at = |names: &[&str], name| names.iter().position(|n| *n == name).unwrap();
    let counted = &endpoint.counters.events[at(&LEVELS, "Request")][at(&STAGES, "ResponseComplete")];
    assert_eq!(counted.load(Relaxed), 3);
    assert_eq!(endpoint.counters.last_event.load(Relaxed), 1_767_605_400_120_000_000);
}

#[tokio::test]
async fn a_batch_that_comes_again_is_evaluated_once() {
    let endpoint = default();
    let list = format!(r#"{{"kind":"EventList","items":[{},{}]}}"#, event("a"), event("b"));
    for _ in 0..3 {
        assert_eq!(status(&endpoint.post("/k8s-audit", "", &list).await), 200);
    }
    assert_eq!(endpoint.ids(), ["a", "b"]);
    assert_eq!(endpoint.counters.duplicates.load(Relaxed), 4);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_reason() {
    let endpoint = default();
    for (body, reason) in [
        (r#"{"kind":0}"#, "data not recognized as a k8s audit event"),
        ("5E5555", "data not recognized as a k8s audit event"),
        ("", "the body is empty"),
        ("{", "not JSON"),
        ("\u{0}\u{1}garbage", "not JSON"),
        (r#"{"kind":"Event","auditID":"a"}"#, "no stageTimestamp"),
    ] {
        let answer = endpoint.post("/k8s-audit", "", body).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains(reason), "{answer}");
    }
    assert_eq!(endpoint.requests("no_event"), 6);
    assert_eq!((endpoint.rejected("not_an_event"), endpoint.rejected("no_time")), (2, 1));
    assert!(endpoint.ids().is_empty());
}

#[tokio::test]
async fn bad_items_do_not_keep_good_ones_out() {
    let endpoint = default();
    let list = format!(r#"{{"kind":"EventList","items":[{},{{}},{}]}}"#, event("a"), event("b"));
    let answer = endpoint.post("/k8s-audit", "", &list).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains(r#""accepted":2,"duplicates":0,"rejected":1,"reasons":"item 2: "#), "{answer}");
    assert_eq!(endpoint.ids(), ["a", "b"]);
}

#[tokio::test]
async fn only_posts_in_known_encodings_are_read() {
    let endpoint = default();
    let get = endpoint.send(b"GET /k8s-audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&get), 405);
    assert!(get.contains("allow: POST\r\n"), "{get}");
    let brotli = endpoint.post("/k8s-audit", "Content-Encoding: br\r\n", "x").await;
    assert_eq!(status(&brotli), 415);
    assert!(brotli.contains("accept-encoding: gzip, identity\r\n"), "{brotli}");
    assert_eq!(status(&endpoint.post("/elsewhere", "", &event("a")).await), 404);
    let healthz = endpoint.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(healthz.ends_with("fine"), "{healthz}");
    assert_eq!((endpoint.requests("wrong_method"), endpoint.requests("wrong_encoding")), (1, 1));
}

#[tokio::test]
async fn gzip_is_unpacked() {
    let endpoint = default();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(event("a").as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\n";
    let request = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    assert_eq!(status(&endpoint.send(&request).await), 200);
    assert_eq!(endpoint.ids(), ["a"]);
    let bad = endpoint.post("/k8s-audit", "Content-Encoding: gzip\r\n", &event("b")).await;
    assert_eq!((status(&bad), endpoint.requests("not_gzip")), (400, 1), "{bad}");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_announced_or_not() {
    let endpoint = start(Config { body_bytes: 1000, ..Config::default() }, Bounds::default());
    let announced =
        endpoint.send(b"POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n").await;
    assert_eq!(status(&announced), 413);
    assert!(announced.contains("1000 bytes"), "{announced}");
    let chunk = format!("3E9\r\n{}\r\n", "x".repeat(1001));
    let head = "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(&endpoint.send(format!("{head}{chunk}").as_bytes()).await), 413);
    assert_eq!(endpoint.requests("too_large"), 2);
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
}

#[tokio::test]
async fn chunked_bodies_are_read() {
    let endpoint = default();
    let (event, head) = (event("a"), "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    let (first, second) = event.split_at(20);
    let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let answer = endpoint.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes()).await;
    assert_eq!((status(&answer), endpoint.ids()), (200, vec!["a".to_owned()]));
}

#[tokio::test]
async fn an_overloaded_agent_asks_to_come_again_and_loses_nothing() {
    let endpoint = default();
    endpoint.overloaded.store(true, Relaxed);
    let answer = endpoint.post("/k8s-audit", "", &event("a")).await;
    assert_eq!(status(&answer), 429);
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    endpoint.overloaded.store(false, Relaxed);
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
    assert_eq!((endpoint.ids(), endpoint.requests("overloaded")), (vec!["a".to_owned()], 1));
}

#[tokio::test]
async fn bodies_beyond_the_waiting_room_are_put_off() {
    let config = Config { waiting_bytes: 50, ..Config::default() };
    let endpoint = start(config, Bounds::default());
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 429);
}

#[tokio::test]
async fn half_open_connections_do_not_block_a_good_post() {
    let endpoint = start(Config::default(), Bounds { max: 4, head_timeout: LONGER, ..Bounds::default() });
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
        stream.write_all(b"POST /k8s-audit HTTP/1.1\r\nHost: ").await.unwrap();
        idle.push(stream);
    }
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
    assert!(endpoint.counters.evicted.load(Relaxed) >= 16);
}

#[tokio::test]
async fn dribbling_senders_do_not_block_a_good_post() {
    let config = Config { body_timeout: LONGER, ..Config::default() };
    let endpoint = start(config, Bounds { max: 4, ..Bounds::default() });
    let mut dribbling = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
        let head = b"POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{";
        stream.write_all(head).await.unwrap();
        dribbling.push(stream);
    }
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
}

#[tokio::test]
async fn who_brought_events_stays_before_strangers() {
    let endpoint = start(Config::default(), Bounds { max: 3, ..Bounds::default() });
    let mut known = TcpStream::connect(endpoint.address).await.unwrap();
    let body = event("a");
    let head = format!("POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    known.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    assert!(known.read(&mut [0; 500]).await.unwrap() > 0);
    let mut strangers = Vec::new();
    for _ in 0..10 {
        strangers.push(TcpStream::connect(endpoint.address).await.unwrap());
        assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("b")).await), 200);
    }
    assert!(ask(&mut known).await > 0);
}

#[tokio::test]
async fn the_connection_idle_longest_makes_room() {
    let endpoint = start(Config::default(), Bounds { max: 2, ..Bounds::default() });
    let mut old = TcpStream::connect(endpoint.address).await.unwrap();
    assert!(ask(&mut old).await > 0);
    let mut young = TcpStream::connect(endpoint.address).await.unwrap();
    assert!(ask(&mut young).await > 0);
    assert!(ask(&mut old).await > 0);
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
    assert_eq!(young.read(&mut [0; 500]).await.unwrap(), 0, "closed, although opened later");
    assert!(ask(&mut old).await > 0);
}

/// One request of several on a connection; the number of bytes answered.
async fn ask(stream: &mut TcpStream) -> usize {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.read(&mut [0; 500]).await.unwrap()
}

#[tokio::test]
async fn slow_bodies_and_heads_are_cut_off() {
    let soon = Duration::from_millis(200);
    let config = Config { body_timeout: soon, ..Config::default() };
    let endpoint = start(config, Bounds { head_timeout: soon, ..Bounds::default() });
    let head = "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{";
    assert_eq!(status(&endpoint.send(head.as_bytes()).await), 408);
    assert_eq!(endpoint.requests("timed_out"), 1);
    let answer = endpoint.send(b"POST /k8s-audit HTTP/1.1\r\nHost: ").await;
    assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_counted() {
    let endpoint = default();
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(b"POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!((status(&answer), endpoint.requests("broken_off")), (400, 1));
    assert_eq!(status(&endpoint.post("/k8s-audit", "", &event("a")).await), 200);
}

#[tokio::test]
async fn one_connection_brings_many_batches() {
    let endpoint = default();
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    for batch in 0..20 {
        let items: Vec<_> = (0..400).map(|item| event(&format!("{batch}-{item}"))).collect();
        let body = format!(r#"{{"kind":"EventList","items":[{}]}}"#, items.join(","));
        let head = format!("POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert_eq!(status(std::str::from_utf8(&answer[..read]).unwrap()), 200);
    }
    assert_eq!((endpoint.ids().len(), endpoint.requests("accepted")), (8000, 20));
}

#[tokio::test]
async fn shutting_down_ends_idle_connections_and_the_server() {
    let endpoint = start(Config::default(), Bounds { grace: LONGER, ..Bounds::default() });
    let mut idle = TcpStream::connect(endpoint.address).await.unwrap();
    endpoint.post("/k8s-audit", "", &event("a")).await;
    endpoint.stop.send(()).unwrap();
    timeout(PATIENCE, endpoint.server).await.expect("still serving").unwrap();
    assert_eq!(idle.read(&mut [0; 10]).await.unwrap(), 0);
}
