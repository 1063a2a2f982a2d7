//! The API server without kubectl, for thousands of objects.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::Cluster;

/// Requests on their way at once.
const CONCURRENCY: usize = 16;
/// What the tests need of our resources.
const KINDS: [&str; 2] = ["/apis/saker.dev/v1alpha1/falcorules", "/apis/saker.dev/v1alpha1/sakernodes"];
/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The administrator's connection.
#[derive(Clone)]
pub struct Rest {
    /// What requests run on; the fakes share it.
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) server: String,
    pub(crate) http: Client,
}

/// One request: what, where, and with which object.
pub type Request = (Method, String, Value);

impl Rest {
    /// To the API server of the control plane.
    pub fn admin(cluster: &Cluster) -> anyhow::Result<Self> {
        let pem = |name: &str| fs::read(cluster.file(name));
        let both = [pem("admin.key")?, pem("admin.crt")?].concat();
        let builder = builder(cluster)?.identity(Identity::from_pem(&both)?);
        let rest =
            Self { runtime: Arc::new(Runtime::new()?), server: server(cluster)?, http: builder.build()? };
        // A CRD is established a moment before its objects are served.
        let served =
            crate::within(crate::PATIENCE, || KINDS.iter().all(|kind| rest.list(kind).is_ok()).then_some(()));
        served.context("the API server does not serve our resources")?;
        Ok(rest)
    }

    /// One request; fails if it is refused.
    pub fn send(&self, method: Method, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.runtime.block_on(self.ask(method, path, object))
    }

    /// Many requests; an object that is there already, or gone already, is fine.
    pub fn send_all(&self, requests: Vec<Request>) -> anyhow::Result<()> {
        let answers = stream::iter(requests).map(|(method, path, object)| async move {
            let answer = self.ask(method.clone(), &path, &object).await;
            answer.err().filter(|e| !is_done(&method, e))
        });
        let mut failures = self.runtime.block_on(
            answers.buffer_unordered(CONCURRENCY).filter_map(std::future::ready).collect::<Vec<_>>(),
        );
        failures.pop().map_or(Ok(()), Err)
    }

    /// The items of a list.
    pub fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut list = self.send(Method::GET, path, &Value::Null)?;
        Ok(serde_json::from_value(list["items"].take())?)
    }

    /// Deletes every object of a list at once.
    pub fn delete_all(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, &Value::Null).map(drop)
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, object: &Value) -> anyhow::Result<Value> {
        let patch = method == Method::PATCH;
        let kind = if patch { "application/merge-patch+json" } else { "application/json" };
        let mut request = self.http.request(method, format!("{}{path}", self.server));
        if !object.is_null() {
            request = request.header("content-type", kind).body(object.to_string());
        }
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }
}

fn is_done(method: &Method, error: &anyhow::Error) -> bool {
    let text = error.to_string();
    *method == Method::POST && text.contains(": 409 ") || *method == Method::DELETE && text.contains(": 404 ")
}

/// A client that trusts the control plane.
pub(crate) fn builder(cluster: &Cluster) -> anyhow::Result<reqwest::ClientBuilder> {
    // An error only says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = Certificate::from_pem(&fs::read(cluster.file("ca.crt"))?)?;
    Ok(Client::builder().tls_certs_only([ca]).no_proxy().timeout(TIMEOUT))
}

/// Where the API server is.
pub(crate) fn server(cluster: &Cluster) -> anyhow::Result<String> {
    Ok(format!("https://127.0.0.1:{}", fs::read_to_string(cluster.file("apiserver-port"))?.trim()))
}
