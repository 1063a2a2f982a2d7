//! Asks the agents what they run. They never write to the API; the operator comes to them.

use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use saker_crds::agent::{AGENT_SELECTOR, AgentStatus, STATUS_PATH};

/// The port of agents in pods that do not name one `http`.
const DEFAULT_PORT: i32 = 8765;
/// Agents asked at the same time.
const CONCURRENCY: usize = 32;
/// Until an agent counts as not answering. A machine that runs tests may be too busy for it.
const TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });
/// Bytes of an answer.
const MAX_ANSWER: usize = 2 << 20;

/// Where the agents are.
pub struct Agents {
    /// Base URLs; none means the pods.
    urls: Vec<String>,
    pods: Api<Pod>,
    http: reqwest::Client,
    /// Shown to the agents.
    token: Option<String>,
}

/// What one agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The node, or the address as long as nobody answers there.
    pub node: String,
    /// Its answer, or why there is none.
    pub answer: Result<AgentStatus, String>,
}

/// An agent: what to call it, and where it is; without an address, why.
struct Agent {
    node: String,
    /// The scheduler put it there; what it says itself does not count.
    placed: bool,
    url: Result<String, String>,
}

impl Agents {
    /// At the given base URLs, or in the pods of the namespace if there are none.
    pub fn new(
        urls: Vec<String>,
        client: &Client,
        namespace: &str,
        token: Option<String>,
    ) -> reqwest::Result<Self> {
        Ok(Self { urls, pods: Api::namespaced(client.clone(), namespace), http: http_client()?, token })
    }

    /// Asks all of them.
    pub async fn ask(&self) -> Result<Vec<Report>, kube::Error> {
        let reports = stream::iter(self.find().await?).map(|agent| self.report(agent));
        let mut reports: Vec<_> = reports.buffer_unordered(CONCURRENCY).collect().await;
        reports.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(reports)
    }

    async fn report(&self, agent: Agent) -> Report {
        let answer = match agent.url {
            Ok(url) => ask(&self.http, &url, self.token.as_deref()).await,
            Err(reason) => Err(reason),
        };
        let said = answer.as_ref().ok().map(|status| status.hostname.clone()).filter(|node| !node.is_empty());
        Report { node: said.filter(|_| !agent.placed).unwrap_or(agent.node), answer }
    }

    async fn find(&self) -> Result<Vec<Agent>, kube::Error> {
        if !self.urls.is_empty() {
            let agent = |url: &String| Agent { node: url.clone(), placed: false, url: Ok(url.clone()) };
            return Ok(self.urls.iter().map(agent).collect());
        }
        let pods = self.pods.list(&ListParams::default().labels(AGENT_SELECTOR)).await?;
        Ok(pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).map(agent).collect())
    }
}

/// Plain HTTP inside the cluster, never redirected elsewhere.
pub(crate) fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy().build()
}

fn agent(pod: &Pod) -> Agent {
    let place = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let (placed, node) = (place.is_some(), place.unwrap_or_else(|| pod.name_any()));
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).filter(|ip| !ip.is_empty());
    let url = match address {
        Some(ip) if ip.contains(':') => Ok(format!("http://[{ip}]:{}", port(pod))),
        Some(ip) => Ok(format!("http://{ip}:{}", port(pod))),
        None => Err(format!("pod {} has no address yet", pod.name_any())),
    };
    Agent { node, placed, url }
}

fn port(pod: &Pod) -> i32 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some("http")).map_or(DEFAULT_PORT, |port| port.container_port)
}

async fn ask(http: &reqwest::Client, url: &str, token: Option<&str>) -> Result<AgentStatus, String> {
    let url = format!("{}{STATUS_PATH}", url.trim_end_matches('/'));
    let unreachable = |e: reqwest::Error| format!("{url} does not answer: {}", root_cause(&e));
    let request = http.get(&url);
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let mut response =
        request.send().await.and_then(reqwest::Response::error_for_status).map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(format!("{url} answers with more than {MAX_ANSWER} bytes"));
        }
    }
    serde_json::from_slice(&body).map_err(|e| format!("{url} is no agent's status: {e}"))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use warp::Filter as _;

    use super::*;

    fn pod(value: &serde_json::Value) -> Pod {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn pods_are_asked_at_their_address_and_named_port() {
        let ports = json!([{"containerPort": 1}, {"name": "http", "containerPort": 9000}]);
        let spec = json!({"nodeName": "n1", "containers": [{"name": "agent", "ports": ports}]});
        let found = agent(&pod(&json!({"spec": spec, "status": {"podIP": "10.0.0.1"}})));
        assert_eq!((found.node.as_str(), found.url), ("n1", Ok("http://10.0.0.1:9000".to_owned())));
        let spec = json!({"containers": [{"name": "agent"}]});
        let found =
            agent(&pod(&json!({"metadata": {"name": "p"}, "spec": spec, "status": {"podIP": "fd00::1"}})));
        assert_eq!((found.node.as_str(), found.url), ("p", Ok("http://[fd00::1]:8765".to_owned())));
        assert!(agent(&pod(&json!({"metadata": {"name": "p"}}))).url.is_err());
    }

    #[tokio::test]
    async fn answers_and_silence_are_reported() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let status = json!({"hostname": "n1", "bundle": "abc", "version": "1"}).to_string();
        let shown = warp::header::exact("authorization", "Bearer secret");
        let routes = warp::path!("status")
            .and(shown)
            .map(move || status.clone())
            .or(warp::path!("bad" / "status").map(|| "no JSON"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        let urls = vec![url.clone(), format!("{url}/bad"), "http://127.0.0.1:1".to_owned()];
        let api = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let reports = Agents::new(urls, &api, "ns", Some("secret".to_owned())).unwrap().ask().await.unwrap();
        let answered = reports.iter().find(|r| r.node == "n1").unwrap();
        assert_eq!(answered.answer.as_ref().unwrap().bundle.as_deref(), Some("abc"));
        let errors: Vec<_> = reports.iter().filter_map(|r| r.answer.as_ref().err()).collect();
        assert!(errors.iter().any(|e| e.contains("is no agent's status")), "{errors:?}");
        assert!(errors.iter().any(|e| e.contains("127.0.0.1:1/status does not answer")), "{errors:?}");
    }
}
