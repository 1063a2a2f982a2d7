//! What anybody may do to the audit endpoint. The short form runs with all tests, the long one in `make bench`:
//! `SAKER_ABUSE=long`.

use std::{
    env,
    fmt::Write as _,
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::running::{PATIENCE, Running, start};

/// How much of it.
struct Scale {
    posts: usize,
    seconds: u64,
    /// What an honest post may take at p99, and a bomb. A debug build on a busy machine gets as long as it is
    /// waited for: less than the attackers hold their connections.
    patience: Duration,
}

fn scale() -> Scale {
    if env::var("SAKER_ABUSE").is_ok_and(|value| value == "long") {
        Scale { posts: 1_000_000, seconds: 60, patience: Duration::from_millis(100) }
    } else {
        Scale { posts: 8000, seconds: 2, patience: PATIENCE }
    }
}

fn agent() -> Running {
    start(&["--disable-source", "syscall"])
}

/// An event that makes an alert with this name in it.
fn good(id: &str) -> String {
    format!(
        r#"{{"kind":"Event","level":"Request","auditID":"{id}","stage":"ResponseComplete","verb":"create","user":{{"username":"eve"}},"objectRef":{{"resource":"configmaps","namespace":"default","name":"{id}"}},"responseStatus":{{"code":201}},"requestObject":{{"data":{{"aws_access_key_id":"x"}}}},"stageTimestamp":"2026-01-01T00:00:00Z"}}"#
    )
}

/// A connection that sends one request after the other.
struct Connection {
    address: String,
    stream: TcpStream,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_owned(), stream })
    }

    /// The status of the answer.
    fn post(&mut self, headers: &str, body: &[u8]) -> io::Result<u16> {
        let mut request = String::new();
        let length = body.len();
        write!(request, "POST /k8s-audit HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n")
            .unwrap();
        self.stream.write_all(&[request.as_bytes(), body].concat())?;
        let mut answer = [0; 8192];
        let read = self.stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        if answer.contains("connection: close") {
            *self = Self::open(&self.address)?;
        }
        answer.get(9..12).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A number that looks random.
fn mixed(seed: usize) -> usize {
    let mut x = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..3 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    usize::try_from(x >> 1).unwrap()
}

/// What a fuzzer would send: wrong types, changed bytes, and the bodies that once ended Falco.
fn malformed(seed: usize) -> Vec<u8> {
    const TYPES: [&str; 8] = ["0", "null", "[]", "{}", "\"x\"", "1e999", "[[{}]]", "true"];
    const KEYS: [&str; 6] = ["kind", "items", "objectRef", "requestObject", "user", "stageTimestamp"];
    let random = mixed(seed);
    let (value, key) = (TYPES[random % TYPES.len()], KEYS[(random >> 8) % KEYS.len()]);
    match seed % 6 {
        0 => br#"{"kind":0}"#.to_vec(),
        1 => b"5E5555".to_vec(),
        2 => format!(r#"{{"kind":"Event","{key}":{value}}}"#).into_bytes(),
        3 => format!(r#"{{"kind":"EventList","items":[{value},{{"kind":"Event","{key}":{value}}}]}}"#)
            .into_bytes(),
        4 => {
            let mut body = good("changed").into_bytes();
            let at = random % body.len();
            body[at] = u8::try_from((random >> 16) & 0xFF).unwrap() | 0x80;
            body
        }
        _ => {
            let mut body = good("cut").into_bytes();
            body.truncate(random % body.len());
            body
        }
    }
}

#[test]
fn good_events_are_seen_among_malformed_ones() {
    let (agent, posts) = (agent(), scale().posts);
    let address = agent.address();
    let mut connection = Connection::open(&address).unwrap();
    for seed in 0..2000 {
        connection.post("", &malformed(seed)).unwrap();
    }
    let before = agent.memory("VmRSS:");
    let senders: Vec<_> = (0..4)
        .map(|sender| (sender, address.clone()))
        .map(|(sender, address)| {
            thread::spawn(move || {
                let mut connection = Connection::open(&address).unwrap();
                for number in 0..posts / 4 {
                    if number % 1000 == 500 {
                        let name = format!("good-{sender}-{number}-");
                        assert_eq!(connection.post("", good(&name).as_bytes()).unwrap(), 200);
                    } else {
                        assert!([200, 400].contains(&connection.post("", &malformed(number)).unwrap()));
                    }
                }
            })
        })
        .collect();
    join(senders);
    for (sender, number) in (0..4).flat_map(|s| (500..posts / 4).step_by(1000).map(move |n| (s, n))) {
        agent.alert(&format!("good-{sender}-{number}-"));
    }
    let grown = agent.memory("VmRSS:").saturating_sub(before);
    assert!(grown < 8 << 10, "resident memory grew by {grown} KiB");
}

/// Connections that send a head and never its end, or a body byte by byte; opened anew when they are closed.
fn hold_up(address: &str, stop: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<()>> {
    let spawn = |count: usize, start: &'static str| {
        let (address, stop) = (address.to_owned(), Arc::clone(stop));
        thread::spawn(move || {
            let mut open: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
            while !stop.load(Relaxed) {
                for place in &mut open {
                    let sent = place.as_mut().map(|stream| stream.write_all(b"x"));
                    if !matches!(sent, Some(Ok(()))) {
                        *place = TcpStream::connect(&address).ok();
                        // An error is found by the next byte.
                        let _ = place.as_mut().map(|stream| stream.write_all(start.as_bytes()));
                    }
                }
                thread::sleep(Duration::from_millis(250));
            }
        })
    };
    vec![
        spawn(1000, "POST /k8s-audit HTTP/1.1\r\nX-Long: "),
        spawn(200, "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"),
    ]
}

#[test]
fn held_up_connections_delay_no_honest_post() {
    let (agent, Scale { seconds, patience, .. }) = (agent(), scale());
    let address = agent.address();
    let stop = Arc::<AtomicBool>::default();
    let attackers = hold_up(&address, &stop);
    thread::sleep(Duration::from_millis(500));
    let (begin, mut took) = (Instant::now(), Vec::new());
    while begin.elapsed() < Duration::from_secs(seconds) {
        let start = Instant::now();
        let post = || Connection::open(&address)?.post("", good("honest").as_bytes());
        // Who was closed to make room while it sent comes again at once, as API servers do.
        while !post().is_ok_and(|status| status == 200) {
            assert!(start.elapsed() < PATIENCE, "an honest post is refused again and again");
        }
        took.push(start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    let files = agent.files();
    stop.store(true, Relaxed);
    join(attackers);
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 < patience, "p99 of {} posts was {p99:?}", took.len());
    // Of the 1200 attackers; some that had to make room are just being closed.
    assert!(files < 600, "{files} files are open");
}

#[test]
fn bombs_are_refused_in_no_time_and_little_memory() {
    let (agent, patience) = (agent(), scale().patience);
    let event = |text: &str| {
        format!(
            r#"{{"kind":"EventList","items":[{{"auditID":"a","stageTimestamp":"2026-01-01T00:00:00Z","x":{text}}}]}}"#
        )
    };
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    let wide = format!("[{}0]", "0,".repeat(5 << 20));
    let many = format!("[{}]", vec![r#"{"kind":0}"#; 1 << 20].join(","));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 1 << 30]).unwrap();
    let gzip = "Content-Encoding: gzip\r\n";
    let bombs = [
        ("deep", "", event(&deep).into_bytes(), 400),
        ("bare", "", deep.into_bytes(), 400),
        ("wide", "", event(&wide).into_bytes(), 400),
        ("many", "", many.into_bytes(), 400),
        ("long", "", vec![b'x'; 13 << 20], 413),
        ("gzip", gzip, packed.finish().unwrap(), 413),
    ];
    assert_eq!(agent.request("POST", "/k8s-audit", "", good("before").as_bytes()).0, 200);
    let before = agent.memory("VmRSS:");
    for (name, headers, body, status) in bombs {
        let mut connection = Connection::open(&agent.address()).unwrap();
        let start = Instant::now();
        match connection.post(headers, &body) {
            Ok(answer) => assert_eq!(answer, status, "{name}"),
            // Refused before all of it was sent.
            Err(_) => assert_eq!(name, "long"),
        }
        let took = start.elapsed();
        assert!(took < patience, "{name} took {took:?}");
    }
    let grown = agent.memory("VmHWM:").saturating_sub(before);
    assert!(grown < 64 << 10, "resident memory grew by {grown} KiB");
    assert_eq!(agent.request("POST", "/k8s-audit", "", good("after").as_bytes()).0, 200);
    agent.alert("after");
}
