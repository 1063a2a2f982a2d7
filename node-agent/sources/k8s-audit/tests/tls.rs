//! HTTPS: certificates of both sides, tokens, and files that are replaced while connections are open.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use saker_source_k8s_audit::{
    Access, Bounds, Config, Connections, Counters, Intake, Tls, TlsError, TlsFiles, Token, listen, routes,
    serve,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long the tests wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
const EVENT: &str = r#"{"kind":"Event","auditID":"a","stageTimestamp":"2026-01-01T00:00:00Z"}"#;
const TOKEN: &str = "0123456789abcdef";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, as PEM.
fn signed(by: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A running endpoint with the files of its TLS.
struct Endpoint {
    dir: TempDir,
    server: Authority,
    clients: Authority,
    counters: Arc<Counters>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Endpoint {
    fn start(client_ca: bool, token: bool) -> Self {
        let (dir, server, clients) = (TempDir::new().unwrap(), authority(), authority());
        let path = |name: &str| dir.path().join(name);
        let (certificate, key) = signed(&server, "localhost");
        fs::write(path("tls.crt"), certificate).unwrap();
        fs::write(path("tls.key"), key).unwrap();
        fs::write(path("ca.crt"), clients.pem()).unwrap();
        fs::write(path("token"), TOKEN).unwrap();
        let files = TlsFiles {
            certificate: path("tls.crt"),
            key: path("tls.key"),
            client_ca: client_ca.then(|| path("ca.crt")),
        };
        let token = token.then(|| Token::load(path("token")).unwrap());
        let access = Access { token, certificate: client_ca };
        let connections = Connections { tls: Some(Tls::load(files).unwrap()), bounds: Bounds::default() };
        let (runtime, counters) = (Runtime::new().unwrap(), Arc::<Counters>::default());
        let entered = runtime.enter();
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let take = |_| std::future::ready(Intake::Accepted);
        let routes = routes(Config::default(), access, counters.clone(), take);
        tokio::spawn(serve(listener, routes, connections, counters.clone(), std::future::pending()));
        drop(entered);
        Self { dir, server, clients, counters, address, _runtime: runtime }
    }

    fn connect(&self, identity: Option<&(String, String)>) -> io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(session, socket);
        stream.flush()?;
        Ok(stream)
    }

    fn replace(&self, name: &str, text: &str) {
        let new: PathBuf = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join(name)).unwrap();
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// The status of an answer to a post.
fn post(stream: &mut Stream, headers: &str) -> io::Result<u16> {
    let length = EVENT.len();
    write!(
        stream,
        "POST /k8s-audit HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{EVENT}"
    )?;
    let mut answer = [0; 2000];
    let read = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    Ok(answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0))
}

#[test]
fn a_client_certificate_or_a_token_must_be_shown() {
    let endpoint = Endpoint::start(true, true);
    let good = signed(&endpoint.clients, "kube-apiserver");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for (identity, headers, status) in [
        (Some(&good), "", 200),
        (None, bearer.as_str(), 200),
        (None, "", 401),
        (None, "Authorization: Bearer no\r\n", 401),
    ] {
        let mut stream = endpoint.connect(identity).unwrap();
        assert_eq!(post(&mut stream, headers).unwrap(), status, "{headers:?}");
    }
    let forged = signed(&authority(), "kube-apiserver");
    let refused = endpoint.connect(Some(&forged)).and_then(|mut stream| post(&mut stream, &bearer));
    assert!(refused.is_err(), "{refused:?}");
    let (start, failed) = (Instant::now(), &endpoint.counters.handshakes_failed);
    while failed.load(Relaxed) == 0 && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(failed.load(Relaxed), 1);
}

#[test]
fn replaced_files_are_used_and_open_connections_stay() {
    let endpoint = Endpoint::start(false, true);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut open = endpoint.connect(None).unwrap();
    assert_eq!(post(&mut open, &bearer).unwrap(), 200);
    let before = shown(&open);
    let mut certificates = vec![before.clone()];
    for round in 0..20 {
        let (certificate, key) = signed(&endpoint.server, "localhost");
        // Between the two files nothing breaks: the last good pair is used.
        endpoint.replace("tls.crt", &certificate);
        assert_eq!(post(&mut endpoint.connect(None).unwrap(), &bearer).unwrap(), 200, "round {round}");
        endpoint.replace("tls.key", &key);
        let mut fresh = endpoint.connect(None).unwrap();
        assert_eq!(post(&mut fresh, &bearer).unwrap(), 200, "round {round}");
        certificates.push(shown(&fresh));
    }
    certificates.dedup();
    assert_eq!(certificates.len(), 21, "each new certificate was shown");
    assert_eq!((post(&mut open, &bearer).unwrap(), shown(&open)), (200, before));
    endpoint.replace("token", "another token 123");
    assert_eq!(post(&mut open, &bearer).unwrap(), 401);
    assert_eq!(post(&mut open, "Authorization: Bearer another token 123\r\n").unwrap(), 200);
}

/// The server's certificate on a connection.
fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn handshakes_that_hang_keep_nobody_out() {
    let endpoint = Endpoint::start(false, false);
    let hanging: Vec<_> = (0..300).map(|_| TcpStream::connect(endpoint.address).unwrap()).collect();
    assert_eq!(post(&mut endpoint.connect(None).unwrap(), "").unwrap(), 200);
    let evicted = endpoint.counters.evicted.load(Relaxed);
    assert!(evicted > 300 - 256, "only {evicted} made room");
    drop(hanging);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (own, other) = (authority(), authority());
    let ((certificate, _), (_, key)) = (signed(&own, "localhost"), signed(&other, "localhost"));
    fs::write(path("tls.crt"), &certificate).unwrap();
    fs::write(path("tls.key"), key).unwrap();
    fs::write(path("text"), "no PEM").unwrap();
    let load = |certificate: &str, key: &str| {
        let files = TlsFiles { certificate: path(certificate), key: path(key), client_ca: None };
        Tls::load(files).err().map(|error| error.to_string())
    };
    for (certificate, key, name, reason) in [
        ("none", "tls.key", "none", "No such file"),
        ("text", "tls.key", "text", "no items found"),
        ("tls.crt", "text", "text", "no items found"),
        ("tls.crt", "tls.key", "tls.crt", "keys may not be consistent"),
    ] {
        let error = load(certificate, key).unwrap();
        assert!(error.contains(&format!("/{name}: ")) && error.contains(reason), "{error}");
    }
    let files = TlsFiles { certificate: path("tls.crt"), key: path("text"), client_ca: Some(path("none")) };
    assert!(matches!(Tls::load(files), Err(TlsError::Pem { .. })));
}
