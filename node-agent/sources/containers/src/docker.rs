//! Docker's HTTP interface, which Podman has too.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use saker_events::container::{Engine, Metadata, Mount};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use crate::{
    fault::Fault,
    limits::{Limits, MAX_ANSWER},
    oci,
};

/// The answer of `/containers/ID/json` as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inspect {
    id: String,
    name: String,
    image: String,
    config: Option<Config>,
    host_config: Option<HostConfig>,
    mounts: Option<Vec<MountPoint>>,
    network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    image: String,
    labels: Option<BTreeMap<String, String>>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    privileged: bool,
    network_mode: String,
    pid_mode: String,
    ipc_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct MountPoint {
    source: String,
    destination: String,
    mode: String,
    #[serde(rename = "RW")]
    writable: bool,
    propagation: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkSettings {
    #[serde(rename = "IPAddress")]
    ip: String,
    #[serde(rename = "Networks")]
    networks: Option<BTreeMap<String, Network>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    ip: String,
}

/// The answer of `/images/ID/json` as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ImageInspect {
    repo_digests: Option<Vec<String>>,
}

/// Asks for a container and its image.
pub(crate) async fn find(
    socket: &Path,
    id: &str,
    engine: Engine,
    limits: Limits,
) -> Result<Option<Metadata>, Fault> {
    // An id comes from a path of a cgroup: only what cannot change the question is asked.
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let Some(inspect) = get::<Inspect>(socket, &format!("/containers/{id}/json")).await? else {
        return Ok(None);
    };
    let image_id = inspect.image.strip_prefix("sha256:").unwrap_or(&inspect.image).to_owned();
    let known = !image_id.is_empty() && image_id.bytes().all(|b| b.is_ascii_hexdigit());
    let path = format!("/images/{image_id}/json");
    let image = if known { get::<ImageInspect>(socket, &path).await? } else { None };
    let digests = image.unwrap_or_default().repo_digests.unwrap_or_default();
    let digest = digests.first().and_then(|name| name.split_once('@')).map(|(_, digest)| digest.to_owned());
    let metadata = metadata(inspect, engine, limits);
    Ok(Some(Metadata { image_id, image_digest: digest.unwrap_or_default(), ..metadata }))
}

/// One request; `None` says that there is no such thing.
async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<Option<T>, Fault> {
    let refused = |error: &dyn std::fmt::Display| Fault::Refused(error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|e| Fault::Unreachable(e.to_string()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| refused(&e))?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new());
    let request = request.map_err(|e| refused(&e))?;
    // The connection ends with this function, whatever becomes of the answer.
    let connection = tokio::spawn(connection);
    let _ended = AbortOnDrop(connection.abort_handle());
    let answer = sender.send_request(request).await.map_err(|e| refused(&e))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        status => return Err(refused(&status)),
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| refused(&e))?;
    serde_json::from_slice(&body.to_bytes()).map(Some).map_err(|e| refused(&e))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn metadata(inspect: Inspect, engine: Engine, limits: Limits) -> Metadata {
    let config = inspect.config.unwrap_or_default();
    let host = inspect.host_config;
    let labels = limits.labels(config.labels.iter().flatten());
    let shares = |mode: fn(&HostConfig) -> &String| host.as_ref().map(|host| mode(host) == "host");
    Metadata {
        full_id: inspect.id,
        engine: Some(engine),
        name: inspect.name.trim_start_matches('/').to_owned(),
        image: config.image,
        privileged: host.as_ref().map(|host| host.privileged),
        mounts: inspect.mounts.unwrap_or_default().into_iter().map(mount).collect(),
        host_pid: shares(|host| &host.pid_mode),
        host_network: shares(|host| &host.network_mode),
        host_ipc: shares(|host| &host.ipc_mode),
        healthcheck: healthcheck(config.healthcheck),
        ip: ip(inspect.network_settings.unwrap_or_default()),
        pod: oci::pod_of_labels(&labels),
        labels,
        ..Metadata::default()
    }
}

fn mount(mount: MountPoint) -> Mount {
    let MountPoint { source, destination, mode, writable, propagation } = mount;
    Mount { source, dest: destination, mode, writable, propagation }
}

/// The command of a health check; the first word says how it is started.
fn healthcheck(check: Option<Healthcheck>) -> String {
    let test = check.and_then(|check| check.test).unwrap_or_default();
    match test.split_first() {
        Some((how, command)) if how == "CMD" => command.join(" "),
        Some((how, command)) if how == "CMD-SHELL" => format!("/bin/sh -c {}", command.join(" ")),
        _ => String::new(),
    }
}

fn ip(settings: NetworkSettings) -> String {
    let of_networks = settings.networks.into_iter().flatten().map(|(_, network)| network.ip);
    std::iter::once(settings.ip).chain(of_networks).find(|ip| !ip.is_empty()).unwrap_or_default()
}
