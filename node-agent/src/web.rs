//! The HTTP server: audit events in; health, versions, metrics and status out.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use saker_events::load_options;
use saker_rules::{load::LoadOptions, requirements::Version};
use saker_source_k8s_audit::{Access, AuditEvent, Bounds, Connections, Counters, Intake, Peer, Tls};
use serde_json::json;
use warp::{
    Filter, Rejection,
    header::headers_cloned,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    path::FullPath,
    reply::{Reply, Response},
};

use crate::{
    audit::Audit,
    config,
    metrics::{self, family::Extra},
    status::Status,
    syscalls::Control,
};

/// What the server tells and takes.
pub struct Server {
    /// What the agent does.
    pub status: Arc<Status>,
    /// Takes audit events, if they are wanted.
    pub audit: Option<Audit>,
    /// Who may post them.
    pub access: Access,
    /// Its TLS, unless it serves plain HTTP.
    pub tls: Option<Tls>,
    /// Counters of the audit source.
    pub counters: Arc<Counters>,
    /// Counters of the syscall source, if it runs.
    pub syscalls: Option<Arc<Control>>,
}

/// Takes the port, so that a port in use is known at once.
pub fn bind(config: &config::Webserver) -> anyhow::Result<tokio::net::TcpListener> {
    let address = SocketAddr::new(config.listen_address, config.listen_port);
    saker_source_k8s_audit::listen(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has it: end that one, or choose another port with -o webserver.listen_port=8766"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: choose another with -o webserver.listen_address=127.0.0.1"
            }
            _ => "choose another with -o webserver.listen_port=8766",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {advice}")
    })
}

impl Server {
    /// Serves until `shutdown` ends.
    pub async fn run(
        mut self,
        listener: tokio::net::TcpListener,
        config: config::Webserver,
        metrics: bool,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let counters = Arc::clone(&self.counters);
        let connections = Connections { tls: self.tls.take(), bounds: Bounds::default() };
        let routes = self.routes(&config, metrics);
        saker_source_k8s_audit::serve(listener, routes, connections, counters, shutdown).await;
    }

    fn routes(
        mut self,
        config: &config::Webserver,
        metrics: bool,
    ) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
        let audit = self.audit_routes(config);
        let paths = Paths { health: config.k8s_healthz_endpoint.clone(), metrics };
        let server = Arc::new(self);
        let asked = warp::get().and(warp::path::full()).and(warp::ext::optional()).and(headers_cloned());
        let own = asked.and_then(move |path: FullPath, peer: Option<Peer>, headers: HeaderMap| {
            let asker = Asker { peer: peer.and_then(|Peer(peer)| peer), shows: headers.get(AUTHORIZATION) };
            let answer = server.answer(path.as_str(), &asker, &paths).ok_or_else(warp::reject::not_found);
            std::future::ready(answer)
        });
        own.or(audit).unify()
    }

    fn audit_routes(
        &mut self,
        config: &config::Webserver,
    ) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
        let audit = self.audit.clone();
        let paths = if audit.is_some() { audit_paths(config) } else { Vec::new() };
        audit_routes(paths, std::mem::take(&mut self.access), Arc::clone(&self.counters), audit)
    }

    fn answer(&self, path: &str, asker: &Asker<'_>, paths: &Paths) -> Option<Response> {
        match path {
            _ if path == paths.health => Some(self.health()),
            "/versions" => Some(warp::reply::json(&versions()).into_response()),
            "/status" => Some(self.report(asker)),
            "/metrics" if paths.metrics => Some(self.metrics()),
            _ => None,
        }
    }

    fn report(&self, asker: &Asker<'_>) -> Response {
        if self.status.operator.admits(asker.peer, asker.shows) {
            return warp::reply::json(&self.status.report()).into_response();
        }
        let reason =
            "the status is for the operator, and for who asks from the agent's own network namespace";
        warp::reply::with_status(reason, StatusCode::UNAUTHORIZED).into_response()
    }

    fn health(&self) -> Response {
        let reasons = self.status.unhealthy();
        if reasons.is_empty() {
            // Byte for byte what Falco answers: probes compare it.
            return warp::reply::with_header(r#"{"status": "ok"}"#, CONTENT_TYPE, "application/json")
                .into_response();
        }
        let body = warp::reply::json(&json!({"status": "failed", "reasons": reasons}));
        warp::reply::with_status(body, StatusCode::SERVICE_UNAVAILABLE).into_response()
    }

    fn metrics(&self) -> Response {
        let mut extra: Extra = metrics::audit(&self.counters);
        extra.extend(self.syscalls.as_ref().into_iter().flat_map(|control| control.metrics()));
        let text = metrics::render(&self.status, extra);
        warp::reply::with_header(text, CONTENT_TYPE, "text/plain; version=0.0.4").into_response()
    }
}

/// Who asks.
struct Asker<'a> {
    peer: Option<SocketAddr>,
    /// The header `Authorization`.
    shows: Option<&'a HeaderValue>,
}

/// The routes on which audit events are taken.
pub fn audit_routes(
    paths: Vec<String>,
    access: Access,
    counters: Arc<Counters>,
    audit: Option<Audit>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
    let settings = saker_source_k8s_audit::Config { paths, ..saker_source_k8s_audit::Config::default() };
    let take = move |events: Vec<AuditEvent>| {
        let audit = audit.clone();
        async move {
            match audit {
                Some(audit) => audit.take(events).await,
                None => Intake::Overloaded,
            }
        }
    };
    saker_source_k8s_audit::routes(settings, access, counters, take)
}

#[derive(Clone)]
struct Paths {
    health: String,
    metrics: bool,
}

/// Falco's path of before 2020 is served beside the default one.
fn audit_paths(config: &config::Webserver) -> Vec<String> {
    let defaults = saker_source_k8s_audit::Config::default().paths;
    let path = &config.k8s_audit_endpoint;
    if path.is_empty() {
        return Vec::new();
    }
    if defaults.contains(path) { defaults } else { vec![path.clone()] }
}

fn versions() -> serde_json::Value {
    let LoadOptions { engine_version, plugins, .. } = load_options();
    let dotted = |(major, minor, patch): Version| format!("{major}.{minor}.{patch}");
    let plugins: BTreeMap<_, _> =
        plugins.into_iter().map(|(name, version)| (name, dotted(version))).collect();
    json!({
        "saker_version": env!("CARGO_PKG_VERSION"),
        "engine_version": engine_version.1.to_string(),
        "engine_version_semver": dotted(engine_version),
        "plugin_versions": plugins,
    })
}

#[cfg(test)]
mod tests {
    use saker_crds::bundle::sha256;
    use tower::ServiceExt as _;
    use warp::http::Request;

    use super::*;
    use crate::status::tests::status;

    async fn ask(server: Server, path: &str, peer: &str, shown: Option<&str>) -> u16 {
        let routes = server.routes(&config::Webserver::default(), true);
        let request = Request::get(path).extension(Peer(peer.parse().ok()));
        let request = shown.into_iter().fold(request, |request, shown| request.header(AUTHORIZATION, shown));
        let request = request.body(String::new()).unwrap();
        warp::service(routes).oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn the_status_is_for_the_operator_and_the_rest_for_all() {
        const FAR: &str = "10.1.2.3:4";
        let status = Arc::new(status());
        let ask = |path, peer, shown| {
            let (status, counters) = (Arc::clone(&status), Arc::default());
            let server = Server {
                status,
                audit: None,
                access: Access::default(),
                tls: None,
                counters,
                syscalls: None,
            };
            ask(server, path, peer, shown)
        };
        assert_eq!(ask("/status", FAR, None).await, 200, "there is no operator");
        status.operator.expect();
        status.operator.set_token(Some(sha256(b"secret")));
        assert_eq!(ask("/status", FAR, None).await, 401);
        assert_eq!(ask("/status", FAR, Some("Bearer wrong")).await, 401);
        assert_eq!(ask("/status", FAR, Some("Bearer secret")).await, 200);
        assert_eq!(ask("/status", "127.0.0.1:4", None).await, 200);
        for path in ["/healthz", "/metrics", "/versions"] {
            assert_eq!(ask(path, FAR, None).await, 200, "{path}");
        }
    }
}
