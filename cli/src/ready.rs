//! Whether an API server is up: its `/readyz`, asked by the address and the authority that its own arguments name.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use saker_audit_setup::{Machine, Plan, apiserver::flag};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks once. Whoever refuses an unknown client (401, 403) is up as well.
pub(crate) fn is_ready(root: &Path, arguments: &[String]) -> bool {
    status(root, arguments).is_ok_and(|status| ["200", "401", "403"].contains(&status.as_str()))
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

fn status(root: &Path, arguments: &[String]) -> anyhow::Result<String> {
    let host = flag(arguments, "advertise-address").unwrap_or("127.0.0.1");
    let port = flag(arguments, "secure-port").unwrap_or("6443").parse()?;
    let ca = flag(arguments, "client-ca-file").context("no --client-ca-file")?;
    let ca = fs::read(root.join(ca.trim_start_matches('/')))?;
    let tcp = TcpStream::connect((host, port))?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_write_timeout(Some(TIMEOUT))?;
    let name = ServerName::try_from(host.to_owned())?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(trusting(&ca)?), name)?, tcp);
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    // "HTTP/1.1 200"
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start).split(' ').nth(1).unwrap_or_default().to_owned())
}

fn trusting(ca: &[u8]) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate?)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}
