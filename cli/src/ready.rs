//! Whether an API server is up: its `/readyz`, asked by the address and the authority that its own arguments name.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reqwest::Certificate;
use saker_audit_setup::{Machine, Plan, apiserver::flag};

use crate::http;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks once. Whoever refuses an unknown client (401, 403) is up as well.
pub(crate) fn is_ready(root: &Path, arguments: &[String]) -> bool {
    status(root, arguments).is_ok_and(|status| [200, 401, 403].contains(&status))
}

/// Waits for an API server that runs with the new settings and is ready.
pub(crate) fn wait(root: &Path, plan: &Plan, patience: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        let sends = Machine::look(root).is_some_and(|machine| machine.sends());
        if sends && is_ready(root, &plan.arguments(root)) {
            return true;
        }
        thread::sleep(Duration::from_millis(200));
    }
    false
}

fn status(root: &Path, arguments: &[String]) -> anyhow::Result<u16> {
    let host = flag(arguments, "advertise-address").unwrap_or("127.0.0.1");
    let port = flag(arguments, "secure-port").unwrap_or("6443");
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let ca = flag(arguments, "client-ca-file").context("no --client-ca-file")?;
    let ca = fs::read(root.join(ca.trim_start_matches('/')))?;
    let client = http::client(Some(Certificate::from_pem_bundle(&ca)?), TIMEOUT)?;
    Ok(client.get(format!("https://{host}:{port}/readyz")).send()?.status().as_u16())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::Arc,
    };

    use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

    use super::*;

    /// A server with a certificate of its own authority that gives this answer to each request, and the certificate.
    fn server(answer: &'static str) -> (u16, String) {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into());
        let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![own.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                // Who does not trust the certificate hangs up.
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
            }
        });
        (port, own.cert.pem())
    }

    /// Whether a server that gives this answer counts as ready where this is the authority, or else its own.
    fn ready(answer: &'static str, authority: Option<&str>) -> bool {
        let ((port, own), root) = (server(answer), tempfile::tempdir().unwrap());
        fs::write(root.path().join("ca.crt"), authority.unwrap_or(&own)).unwrap();
        let arguments = [format!("--secure-port={port}"), "--client-ca-file=/ca.crt".to_owned()];
        is_ready(root.path(), &arguments)
    }

    #[test]
    fn a_server_is_ready_that_says_so_or_asks_who_we_are() {
        assert!(ready("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None));
        assert!(ready("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", None));
        assert!(!ready("HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n", None));
    }

    #[test]
    fn a_server_of_another_authority_is_not_asked() {
        let (_, other) = server("");
        assert!(!ready("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(&other)));
    }
}
