//! `http_output`: one POST per alert, as Falcosidekick expects it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Certificate, Client, Identity, StatusCode, Url, header::CONTENT_TYPE, redirect};
use saker_alert::{Alert, Renderer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::{self, Runtime};

use crate::{BuildError, OutputConfig, SendError, Transport};

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one attempt, connecting included.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts at an alert that the sink answers with "later" or with a fault of its own.
const MAX_ANSWERED_ATTEMPTS: u32 = 10;
/// Interval of TCP keep-alive probes.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// Alerts to an HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the configuration")]
pub struct Config {
    /// Whether to send alerts there.
    pub enabled: bool,
    /// Where to POST each alert, for example `http://falcosidekick:2801/`.
    pub url: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Trust any certificate of the server.
    pub insecure: bool,
    /// PEM file with the certificate of the authority to trust, instead of the system's.
    pub ca_cert: PathBuf,
    /// PEM file with several such certificates.
    pub ca_bundle: PathBuf,
    /// Directory of such PEM files.
    pub ca_path: PathBuf,
    /// Show the server a certificate of ours.
    pub mtls: bool,
    /// PEM file with our certificate, for `mtls`.
    pub client_cert: PathBuf,
    /// PEM file with its key, for `mtls`.
    pub client_key: PathBuf,
    /// Not available; only `false` is accepted.
    pub echo: bool,
    /// Not available yet; only `false` is accepted.
    pub compress_uploads: bool,
    /// Send TCP keep-alive probes on idle connections.
    pub keep_alive: bool,
    /// Attempts at an alert while the server does not answer in time.
    pub max_consecutive_timeouts: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            url: String::new(),
            user_agent: "falcosecurity/falco".to_owned(),
            insecure: false,
            ca_cert: PathBuf::new(),
            ca_bundle: PathBuf::new(),
            ca_path: PathBuf::new(),
            mtls: false,
            client_cert: PathBuf::from("/etc/ssl/certs/client.crt"),
            client_key: PathBuf::from("/etc/ssl/certs/client.key"),
            echo: false,
            compress_uploads: false,
            keep_alive: false,
            max_consecutive_timeouts: 5,
        }
    }
}

impl OutputConfig for Config {
    fn name(&self) -> &'static str {
        "http"
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn build(&self, renderer: Renderer) -> Result<Box<dyn Transport>, BuildError> {
        Ok(Box::new(Poster::new(self, renderer, TOTAL_TIMEOUT)?))
    }
}

impl Config {
    fn url(&self) -> Result<Url, BuildError> {
        if self.url.is_empty() {
            return Err(BuildError::Missing("http_output.url", "http://falcosidekick:2801/"));
        }
        let url = Url::parse(&self.url)
            .map_err(|e| invalid("http_output.url", format!("'{}' is no URL: {e}", self.url)))?;
        if matches!(url.scheme(), "http" | "https") {
            Ok(url)
        } else {
            Err(invalid(
                "http_output.url",
                format!("'{}' begins neither with http:// nor https://", self.url),
            ))
        }
    }

    fn refuse_unavailable(&self) -> Result<(), BuildError> {
        let switches =
            [("http_output.echo", self.echo), ("http_output.compress_uploads", self.compress_uploads)];
        match switches.into_iter().find(|(_, on)| *on) {
            Some((key, _)) => {
                Err(invalid(key, "is not available in this version: set it to false".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn client(&self, url: &Url, timeout: Duration) -> Result<Client, BuildError> {
        let provider = rustls::crypto::ring::default_provider();
        // An error says that one is installed already, which is as good.
        let _ = provider.install_default();
        let mut client = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .tcp_keepalive(self.keep_alive.then_some(KEEP_ALIVE))
            .tls_danger_accept_invalid_certs(self.insecure);
        let authorities = self.authorities()?;
        // Plain HTTP must work where the system has no certificates at all.
        if !authorities.is_empty() || url.scheme() == "http" {
            client = client.tls_certs_only(authorities);
        }
        if self.mtls {
            client = client.identity(self.identity()?);
        }
        client.build().map_err(|e| invalid("http_output", chain(&e)))
    }

    /// The authorities named in the configuration; none means those of the system.
    fn authorities(&self) -> Result<Vec<Certificate>, BuildError> {
        let mut found = Vec::new();
        for (key, path) in
            [("http_output.ca_cert", &self.ca_cert), ("http_output.ca_bundle", &self.ca_bundle)]
        {
            if !path.as_os_str().is_empty() {
                found.extend(certificates(path).map_err(|e| unreadable(key, path, &e))?);
            }
        }
        if !self.ca_path.as_os_str().is_empty() {
            let directory = fs::read_dir(&self.ca_path);
            let files = directory.map_err(|e| unreadable("http_output.ca_path", &self.ca_path, &e))?;
            // Such directories hold other files as well.
            found.extend(files.flatten().filter_map(|file| certificates(&file.path()).ok()).flatten());
        }
        Ok(found)
    }

    fn identity(&self) -> Result<Identity, BuildError> {
        let (key, cert) = ("http_output.client_key", "http_output.client_cert");
        let mut pem = fs::read(&self.client_key).map_err(|e| unreadable(key, &self.client_key, &e))?;
        pem.push(b'\n');
        pem.extend(fs::read(&self.client_cert).map_err(|e| unreadable(cert, &self.client_cert, &e))?);
        Identity::from_pem(&pem).map_err(|e| invalid(cert, chain(&e)))
    }
}

fn certificates(path: &Path) -> io::Result<Vec<Certificate>> {
    let found = Certificate::from_pem_bundle(&fs::read(path)?).map_err(io::Error::other)?;
    if found.is_empty() { Err(io::Error::other("it holds no PEM certificate")) } else { Ok(found) }
}

const fn invalid(key: &'static str, reason: String) -> BuildError {
    BuildError::Invalid { key, reason }
}

fn unreadable(key: &'static str, path: &Path, error: &io::Error) -> BuildError {
    invalid(key, format!("cannot read {}: {error}", path.display()))
}

/// Sends on the thread of the output, with a runtime of its own.
struct Poster {
    url: Url,
    client: Client,
    runtime: Runtime,
    renderer: Renderer,
    timeout_attempts: u32,
}

impl Poster {
    fn new(config: &Config, renderer: Renderer, timeout: Duration) -> Result<Self, BuildError> {
        config.refuse_unavailable()?;
        let url = config.url()?;
        Ok(Self {
            client: config.client(&url, timeout)?,
            url,
            runtime: runtime::Builder::new_current_thread().enable_all().build()?,
            renderer,
            timeout_attempts: config.max_consecutive_timeouts.max(1),
        })
    }
}

impl Transport for Poster {
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let (content_type, body) = encode(&self.renderer, alert);
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, content_type).body(body);
        match self.runtime.block_on(async { request.send().await }) {
            Ok(response) => judge(response.status()),
            Err(error) => Err(unanswered(error, self.timeout_attempts)),
        }
    }
}

/// The content type and the body that tell of an alert.
fn encode(renderer: &Renderer, alert: &Alert) -> (&'static str, Bytes) {
    let content_type = if renderer.is_json() { "application/json" } else { "text/plain" };
    (content_type, Bytes::from(renderer.line(alert)))
}

fn judge(status: StatusCode) -> Result<(), SendError> {
    let reason = format!("the server answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 425 | 429 | 500..=599 => Err(SendError::Retry { reason, attempts: MAX_ANSWERED_ATTEMPTS }),
        _ => Err(SendError::Final(reason)),
    }
}

/// A sink that cannot be reached gets its alerts when it is back, as many as the queue holds.
fn unanswered(error: reqwest::Error, timeout_attempts: u32) -> SendError {
    let attempts = if error.is_timeout() && !error.is_connect() { timeout_attempts } else { u32::MAX };
    // The URL may hold credentials.
    SendError::Retry { reason: chain(&error.without_url()), attempts }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
