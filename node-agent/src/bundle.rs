//! The cluster's rules: follows the bundle's manifest, and hands over each bundle that is what it claims to be.
//!
//! The last good one is kept on disk, so that a node starts with the cluster's rules while the API is away.
//! Nothing here writes to the API.

mod cache;
mod fetch;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::{
    Api, Client, Config, ResourceExt,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use saker_crds::bundle::{Manifest, TOKEN_KEY};
use saker_rules::bundle::Bundle;
use tokio::sync::mpsc;

pub use cache::Cache;
pub use fetch::FetchError;

/// How long a bundle that could not be fetched waits for the next try, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often the node's labels are looked at while rules depend on them.
const LABELS: Duration = Duration::from_mins(1);
/// Updates that may wait; the newest bundle is all that counts, so the sender waits when there are more.
const QUEUE: usize = 2;

/// Where the cluster's rules are.
#[derive(Debug, Clone)]
pub struct Source {
    /// Credentials; none means those of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the bundle.
    pub namespace: String,
    /// Name of the manifest's ConfigMap.
    pub manifest: String,
    /// Name of this node.
    pub node: String,
}

/// What happened to the cluster's rules.
#[derive(Debug)]
pub enum Update {
    /// A new bundle, complete and of the hash that was announced, without what is for other nodes.
    Bundle(Bundle),
    /// The announced bundle is refused; the rules in force stay.
    Refused(String),
    /// Why the bundle that was handed over last is not on disk for the next start; nothing once it is.
    NotKept(Option<String>),
    /// The operator shows another token from now on: its SHA-256.
    Token(Option<String>),
}

/// Why the cluster's rules cannot be followed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CredentialsError {
    #[error("cannot read the kubeconfig {0}: {1}")]
    Kubeconfig(PathBuf, #[source] kube::config::KubeconfigError),
    #[error("not in a pod ({0}): name a kubeconfig in kubernetes.kubeconfig")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("cannot use the credentials: {0}")]
    Client(#[from] kube::Error),
}

/// Follows the bundle in a task of its own until the receiver is dropped. The cached bundle, if any, is not sent again
/// when it is still the current one: `running` is its hash.
pub async fn follow(
    source: Source,
    cache: Cache,
    running: Option<String>,
) -> Result<mpsc::Receiver<Update>, CredentialsError> {
    let client = client(&source).await?;
    let api = Api::namespaced(client.clone(), &source.namespace);
    let (updates, receiver) = mpsc::channel(QUEUE);
    let labels = cache.load_labels();
    let node = Labelled {
        nodes: Api::all(client),
        name: source.node,
        labels,
        rules: cache.load().filter(Bundle::selects_machines),
    };
    let follower = Follower {
        api,
        cache,
        running,
        updates,
        node,
        refused: None,
        token: None,
        unkept: None,
        not_kept: None,
    };
    tokio::spawn(follower.run(source.manifest));
    Ok(receiver)
}

async fn client(source: &Source) -> Result<Client, CredentialsError> {
    // An error only says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = match &source.kubeconfig {
        Some(path) => {
            let wrong = |e| CredentialsError::Kubeconfig(path.clone(), e);
            let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(wrong)?
        }
        None => Config::incluster()?,
    };
    Ok(Client::try_from(config)?)
}

struct Follower {
    api: Api<ConfigMap>,
    cache: Cache,
    /// Hash of the bundle that was handed over last.
    running: Option<String>,
    updates: mpsc::Sender<Update>,
    node: Labelled,
    /// By what the operator is known.
    token: Option<String>,
    /// What was last said about a refused bundle, so that it is said once.
    refused: Option<String>,
    /// The bundle that runs, as long as it could not be written to disk.
    unkept: Option<Bundle>,
    /// Why it could not.
    not_kept: Option<String>,
}

/// This node, as far as rules depend on its labels.
struct Labelled {
    nodes: Api<Node>,
    name: String,
    labels: BTreeMap<String, String>,
    /// The whole bundle, if some of it is for nodes with certain labels.
    rules: Option<Bundle>,
}

/// The receiver is gone.
struct Stopped;

impl Follower {
    /// Watches the manifest; a bundle that could not be taken over is tried again, for its shards may be repaired.
    async fn run(mut self, manifest: String) {
        let mut watch = std::pin::pin!(watch_object(self.api.clone(), &manifest).default_backoff());
        let mut pending: Option<ConfigMap> = None;
        let mut pause = RETRY.0;
        let mut look = tokio::time::interval(LABELS);
        loop {
            tokio::select! {
                event = watch.next() => match event {
                    Some(Ok(Some(map))) => {
                        if self.know_operator(&map).await.is_err() {
                            return;
                        }
                        (pending, pause) = (Some(map), RETRY.0);
                    }
                    Some(Ok(None)) => {
                        pending = None;
                        if self.refuse(&FetchError::NoBundle(manifest.clone())).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(e)) => tracing::warn!("cannot watch the cluster's rules, trying again: {e}"),
                    None => return,
                },
                () = tokio::time::sleep(pause), if pending.is_some() || self.unkept.is_some() => {
                    pause = (pause * 2).min(RETRY.1);
                }
                _ = look.tick(), if self.node.rules.is_some() => if self.labels_changed().await.is_err() {
                    return;
                },
                () = self.updates.closed() => return,
            }
            match self.go_on(pending.as_ref()).await {
                Ok(true) => pending = None,
                Ok(false) => {}
                Err(Stopped) => return,
            }
        }
    }

    /// Whether the pending bundle is handed over. What could not be kept on disk is tried again beside it.
    async fn go_on(&mut self, pending: Option<&ConfigMap>) -> Result<bool, Stopped> {
        let done = match pending {
            Some(map) => self.take_over(map).await?,
            None => false,
        };
        if let Some(bundle) = self.unkept.take() {
            self.keep(bundle).await?;
        }
        Ok(done)
    }

    async fn know_operator(&mut self, map: &ConfigMap) -> Result<(), Stopped> {
        let token = map.data.as_ref().and_then(|data| data.get(TOKEN_KEY)).cloned();
        if token == self.token {
            return Ok(());
        }
        self.token.clone_from(&token);
        self.updates.send(Update::Token(token)).await.map_err(|_| Stopped)
    }

    /// Whether the bundle that the manifest announces is handed over.
    async fn take_over(&mut self, map: &ConfigMap) -> Result<bool, Stopped> {
        let fetched = async {
            let manifest = fetch::manifest(map)?;
            // After a refusal even the bundle that runs is handed over again: all is well, and the status shall say so.
            if self.refused.is_none() && self.running.as_ref() == Some(&manifest.hash) {
                return Ok(None);
            }
            fetch::bundle(&self.api, &manifest).await.map(|bundle| Some((manifest, bundle)))
        };
        match fetched.await {
            Ok(None) => Ok(true),
            Ok(Some((manifest, bundle))) => self.hand_over(manifest, bundle).await.map(|()| true),
            Err(e) => self.refuse(&e).await.map(|()| false),
        }
    }

    async fn hand_over(&mut self, manifest: Manifest, bundle: Bundle) -> Result<(), Stopped> {
        tracing::info!(hash = manifest.hash, generation = manifest.generation, "new rules from the cluster");
        self.refused = None;
        self.running = Some(manifest.hash);
        if bundle.selects_machines() {
            self.look_at_labels().await;
        }
        self.node.rules = Some(bundle.clone()).filter(Bundle::selects_machines);
        let ours = bundle.clone().for_machine(&self.node.labels);
        self.updates.send(Update::Bundle(ours)).await.map_err(|_| Stopped)?;
        self.keep(bundle).await
    }

    /// Writes the bundle to disk. On a full one it runs all the same, and the one before it stays there.
    async fn keep(&mut self, bundle: Bundle) -> Result<(), Stopped> {
        let failed = self.cache.store(&bundle).err().map(|e| e.to_string());
        if failed != self.not_kept {
            if let Some(reason) = &failed {
                tracing::warn!("cannot keep the cluster's rules for the next start, trying again: {reason}");
            }
            self.updates.send(Update::NotKept(failed.clone())).await.map_err(|_| Stopped)?;
        }
        self.unkept = failed.is_some().then_some(bundle);
        self.not_kept = failed;
        Ok(())
    }

    /// Hands the bundle over again if other parts of it are for this node now.
    async fn labels_changed(&mut self) -> Result<(), Stopped> {
        let before = self.node.labels.clone();
        self.look_at_labels().await;
        let Some(rules) = self.node.rules.clone().filter(|_| before != self.node.labels) else {
            return Ok(());
        };
        let bundle = rules.for_machine(&self.node.labels);
        self.updates.send(Update::Bundle(bundle)).await.map_err(|_| Stopped)
    }

    /// Without an answer the labels are what they were.
    async fn look_at_labels(&mut self) {
        match self.node.nodes.get_metadata(&self.node.name).await {
            Ok(node) if *node.labels() == self.node.labels => {}
            Ok(node) => {
                self.node.labels.clone_from(node.labels());
                if let Err(e) = self.cache.store_labels(&self.node.labels) {
                    tracing::warn!("cannot keep the node's labels for the next start: {e}");
                }
            }
            Err(e) => tracing::warn!(
                "cannot read the labels of node {}, which rules depend on: {e}",
                self.node.name
            ),
        }
    }

    async fn refuse(&mut self, error: &FetchError) -> Result<(), Stopped> {
        let reason = error.to_string();
        if self.refused.as_ref() == Some(&reason) {
            return Ok(());
        }
        tracing::warn!("the cluster's rules are not taken over, the last good ones stay: {reason}");
        self.refused = Some(reason.clone());
        self.updates.send(Update::Refused(reason)).await.map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests;
