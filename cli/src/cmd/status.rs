//! `saker status`: what a cluster's nodes run, from its SakerNodes, FalcoRules and FalcoRuleExceptions.

mod fleet;

use std::{io::Write, path::PathBuf};

use anyhow::Context as _;
use kube::{
    Api, Client, Config, Resource,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use saker_crds::{FalcoRule, FalcoRuleException, SakerNode};
use serde::de::DeserializeOwned;

use crate::Verdict;
use fleet::Fleet;

/// Objects in one answer of the API server.
const PAGE: u32 = 500;

/// Show the fleet: which nodes run which rules, what is skewed, rejected or lost
///
/// Needs the right to list sakernodes, falcorules and falcoruleexceptions (ClusterRole saker-rules-viewer). The exit
/// code is 1 if something is not as it shall be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kubeconfig; without it $KUBECONFIG, ~/.kube/config or the pod's ServiceAccount
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        // An error only says that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let fleet = runtime.block_on(self.fetch())?;
        fleet.write(out)?;
        Ok(Verdict::of(fleet.is_well()))
    }

    async fn fetch(self) -> anyhow::Result<Fleet> {
        let client = Client::try_from(self.config().await?)?;
        Ok(Fleet {
            nodes: list::<SakerNode>(&client).await?,
            rules: list::<FalcoRule>(&client).await?,
            exceptions: list::<FalcoRuleException>(&client).await?,
        })
    }

    async fn config(self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let advice = "no credentials for a cluster: set --kubeconfig or KUBECONFIG, or run in a pod";
        match (&self.kubeconfig, &self.context) {
            (None, None) => Config::infer().await.context(advice),
            (None, Some(_)) => Config::from_kubeconfig(&options).await.context(advice),
            (Some(path), _) => {
                let kubeconfig = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.context(advice)
            }
        }
    }
}

/// All objects of a kind, in all namespaces.
async fn list<K>(client: &Client) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let api = Api::<K>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await;
        let page =
            page.with_context(|| format!("cannot list {}: is Saker installed there?", K::plural(&())))?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params = params.continue_token(&more),
            None => return Ok(all),
        }
    }
}
