//! Against real servers on the loopback: refusing, hanging, failing, slow.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use saker_alert::Format;

use super::*;
use crate::{
    Counts,
    delivery::{Backoff, Delivery},
    registry::tests::alert,
};

/// How long the tests wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// For servers that hang.
const SOON: Duration = Duration::from_secs(1);
const QUICK: Backoff = Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) };

/// A server that answers its nth request with a script's status, or never; the requests come back.
fn serve(script: impl Fn(usize) -> Option<u16> + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, serve_on(listener, script))
}

fn serve_on(
    listener: TcpListener,
    script: impl Fn(usize) -> Option<u16> + Send + 'static,
) -> Receiver<String> {
    let (requests, seen) = mpsc::channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = requests.send(read_request(&mut stream));
            match script(n) {
                Some(status) => write!(
                    stream,
                    "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                .unwrap(),
                None => held.push(stream),
            }
        }
    });
    seen
}

/// Where nobody listens. Each test has an address of its own, so that no other takes the port.
fn nobody(address: &str) -> SocketAddr {
    TcpListener::bind(address).unwrap().local_addr().unwrap()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_ne!(count, 0, "a request breaks off: {text}");
            continue;
        };
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
        if count == 0 || body.len() >= length.parse().unwrap() {
            return text;
        }
    }
}

fn config(address: SocketAddr) -> Config {
    Config { enabled: true, url: format!("http://{address}/in?x=1"), ..Config::default() }
}

fn poster(config: &Config, json: bool, timeout: Duration) -> Result<Poster, BuildError> {
    let format = Format { json, iso_time: true, ..Format::default() };
    Poster::new(config, Renderer::new(format), timeout)
}

fn post(address: SocketAddr, json: bool) -> Result<(), SendError> {
    poster(&config(address), json, PATIENCE).unwrap().send(&alert("m"))
}

/// Sends alerts through a queue, with quick retries.
fn deliver(address: SocketAddr, alerts: &[&str], timeout: Duration) -> Counts {
    let poster = poster(&config(address), false, timeout).unwrap();
    let delivery = Delivery::start("http", Box::new(poster), 10, QUICK).unwrap();
    for message in alerts {
        delivery.send(&alert(message));
    }
    let deadline = Instant::now() + PATIENCE;
    delivery.begin_close(deadline);
    delivery.finish_close(deadline)
}

/// What the server got, which reads what a client sent that has given up.
#[track_caller]
fn check_bodies(requests: &Receiver<String>, expected: &[&str]) {
    let next = |_: &&str| requests.recv_timeout(PATIENCE).unwrap();
    let got: Vec<_> = expected.iter().map(next).collect();
    let bodies: Vec<_> = got.iter().map(|request| request.rsplit(' ').next().unwrap()).collect();
    assert_eq!(bodies, expected);
    assert!(requests.try_recv().is_err(), "more than {expected:?}");
}

#[test]
fn the_request_is_falcos() {
    let (address, requests) = serve(|_| Some(200));
    post(address, true).unwrap();
    let body = r#"{"hostname":"node-1","output":"1970-01-01T00:00:01.000000000+0000: Notice m","output_fields":{},"priority":"Notice","rule":"A rule","source":"syscall","tags":[],"time":"1970-01-01T00:00:01.000000000Z"}"#;
    let expected = format!(
        "POST /in?x=1 HTTP/1.1\r\ncontent-type: application/json\r\naccept: */*\r\nuser-agent: falcosecurity/falco\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(requests.recv().unwrap(), expected);
}

#[test]
fn text_is_sent_as_text() {
    let (address, requests) = serve(|_| Some(204));
    post(address, false).unwrap();
    let request = requests.recv().unwrap();
    assert!(request.contains("\r\ncontent-type: text/plain\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n1970-01-01T00:00:01.000000000+0000: Notice m"), "{request}");
}

#[test]
fn the_status_decides() {
    for (status, attempts) in [
        (200, None),
        (302, Some(0)),
        (400, Some(0)),
        (404, Some(0)),
        (429, Some(10)),
        (500, Some(10)),
        (503, Some(10)),
    ] {
        let (address, _requests) = serve(move |_| Some(status));
        let got = match post(address, true) {
            Ok(()) => None,
            Err(SendError::Final(_)) => Some(0),
            Err(SendError::Retry { attempts, .. }) => Some(attempts),
        };
        assert_eq!(got, attempts, "{status}");
    }
}

#[test]
fn a_hanging_server_is_tried_so_often_and_no_more() {
    let (address, requests) = serve(|_| None);
    let counts = deliver(address, &["a"], SOON);
    assert_eq!(counts, Counts { failed: 1, ..Counts::default() });
    check_bodies(&requests, &["a"; 5]);
}

#[test]
fn a_failing_server_gets_every_alert_in_order() {
    let (address, requests) = serve(|n| Some(if n < 3 { 500 } else { 200 }));
    let counts = deliver(address, &["a", "b"], PATIENCE);
    assert_eq!(counts, Counts { sent: 2, ..Counts::default() });
    check_bodies(&requests, &["a", "a", "a", "a", "b"]);
}

#[test]
fn a_server_that_comes_late_gets_every_alert() {
    let address = nobody("127.0.0.2:0");
    let server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        serve_on(TcpListener::bind(address).unwrap(), |_| Some(200))
    });
    let counts = deliver(address, &["a", "b"], PATIENCE);
    assert_eq!(counts, Counts { sent: 2, ..Counts::default() });
    check_bodies(&server.join().unwrap(), &["a", "b"]);
}

#[test]
fn a_hanging_server_does_not_delay_another_output() {
    let (hanging, _requests) = serve(|_| None);
    let (healthy, requests) = serve(|_| Some(200));
    let (a, b) = (config(hanging), config(healthy));
    let outputs = crate::Outputs::start(&[&a, &b], &Renderer::new(Format::default()), 10).unwrap();
    outputs.send(Alert::clone(&alert("m")));
    // All five attempts at the other server take longer.
    requests.recv_timeout(PATIENCE).unwrap();
    let start = Instant::now();
    while outputs.counts().all(|(_, counts)| counts.sent == 0) && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
    let counts: Vec<_> = outputs.close(Duration::from_millis(100)).into_iter().map(|(_, c)| c).collect();
    assert_eq!(counts, [Counts { dropped: 1, ..Counts::default() }, Counts { sent: 1, ..Counts::default() }]);
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    let with = |change: fn(&mut Config)| {
        let mut config = config("127.0.0.1:1".parse().unwrap());
        change(&mut config);
        poster(&config, true, TOTAL_TIMEOUT).err().map(|e| e.to_string())
    };
    for (change, expected) in [
        ((|_| ()) as fn(&mut Config), None),
        (
            |c| c.url.clear(),
            Some("http_output.url is empty: set it, for example to http://falcosidekick:2801/"),
        ),
        (
            |c| c.url = "sidekick".into(),
            Some("http_output.url: 'sidekick' is no URL: relative URL without a base"),
        ),
        (
            |c| c.url = "ftp://x/".into(),
            Some("http_output.url: 'ftp://x/' begins neither with http:// nor https://"),
        ),
        (|c| c.echo = true, Some("http_output.echo: is not available in this version: set it to false")),
        (
            |c| c.ca_cert = "/nowhere".into(),
            Some("http_output.ca_cert: cannot read /nowhere: No such file or directory (os error 2)"),
        ),
        (
            |c| c.ca_bundle = "/dev/null".into(),
            Some("http_output.ca_bundle: cannot read /dev/null: it holds no PEM certificate"),
        ),
        (
            |c| c.mtls = true,
            Some(
                "http_output.client_key: cannot read /etc/ssl/certs/client.key: No such file or directory (os error 2)",
            ),
        ),
    ] {
        assert_eq!(with(change).as_deref(), expected);
    }
}

#[test]
fn an_error_does_not_tell_the_url() {
    let address = nobody("127.0.0.3:0");
    let error = post(address, true).unwrap_err().to_string();
    assert!(error.contains("Connection refused") && !error.contains("x=1"), "{error}");
}
