//! `--apply-crds`: brings the resource definitions of the cluster up to those of this program. Helm makes the chart's
//! definitions at the first install and never touches them again, so the chart runs this before an upgrade.

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};

use crate::owner::MANAGER;

/// Applies each of them; fields that others own are taken over.
pub async fn apply(client: &Client) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply(MANAGER).force();
    for (_, yaml) in saker_crds::crd_yaml()? {
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&yaml)?;
        let name = crd.name_any();
        api.patch(&name, &params, &Patch::Apply(&crd))
            .await
            .with_context(|| format!("cannot apply {name}"))?;
        tracing::info!(name, "the definition is up to date");
    }
    Ok(())
}
