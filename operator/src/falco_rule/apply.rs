//! Step 4: the bundle into the cluster, the manifest last. Needs the client.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use saker_crds::bundle::{BUNDLE_LABEL, MANIFEST_NAME};

use super::{Context, build::Prepared, dereference::Cluster, validate::Verdict};
use crate::owner::MANAGER;

/// What is in the cluster now.
pub struct Applied {
    /// What became of each resource.
    pub(super) verdicts: Vec<Verdict>,
    /// Hash of the bundle.
    pub(super) hash: String,
}

/// Writes what differs: shards, then the manifest; then removes bundles that nobody needs any more.
pub(super) async fn apply(context: &Context, prepared: Prepared) -> Result<Applied, kube::Error> {
    let Prepared { verdicts, hash, contents, shards, manifest, keep, cluster } = prepared;
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.namespace);
    for shard in &shards {
        put(&api, &owned(shard, context), &cluster).await?;
    }
    if put(&api, &owned(&manifest, context), &cluster).await? {
        tracing::info!(hash, shards = shards.len(), "bundle applied");
    }
    context.ledger.lock().await.shipped.ship(&hash, contents);
    for stale in stale(&cluster, &keep) {
        api.delete(&stale.name_any(), &DeleteParams::default())
            .await
            .map(|_| ())
            .or_else(not_found_is_fine)?;
    }
    Ok(Applied { verdicts, hash })
}

/// With the owner's name on it.
fn owned(map: &ConfigMap, context: &Context) -> ConfigMap {
    let mut map = map.clone();
    map.metadata.owner_references = context.owner.clone().map(|owner| vec![owner]);
    map
}

/// Whether it was written. An immutable ConfigMap that is not what it must be gives way first.
async fn put(api: &Api<ConfigMap>, wanted: &ConfigMap, cluster: &Cluster) -> Result<bool, kube::Error> {
    let name = wanted.name_any();
    let present = cluster.config_maps.iter().find(|map| map.name_any() == name);
    if present.is_some_and(|map| same(map, wanted)) {
        return Ok(false);
    }
    if let Some(wrong) = present.filter(|map| map.immutable == Some(true)) {
        let only_this = Preconditions { uid: wrong.uid(), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        api.delete(&name, &params).await.map(|_| ()).or_else(not_found_is_fine)?;
    }
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(wanted)).await?;
    Ok(true)
}

fn same(present: &ConfigMap, wanted: &ConfigMap) -> bool {
    holds(present.metadata.labels.as_ref(), wanted.metadata.labels.as_ref())
        && holds(present.data.as_ref(), wanted.data.as_ref())
        && present.binary_data == wanted.binary_data
        && present.immutable == wanted.immutable
}

/// Whether all of `wanted` is there; what others put beside it is theirs.
fn holds(present: Option<&BTreeMap<String, String>>, wanted: Option<&BTreeMap<String, String>>) -> bool {
    wanted.into_iter().flatten().all(|(key, value)| present.and_then(|map| map.get(key)) == Some(value))
}

fn stale<'a>(cluster: &'a Cluster, keep: &'a [String]) -> impl Iterator<Item = &'a ConfigMap> {
    let is_kept = |map: &ConfigMap| map.labels().get(BUNDLE_LABEL).is_some_and(|label| keep.contains(label));
    cluster.config_maps.iter().filter(move |map| map.name_any() != MANIFEST_NAME && !is_kept(map))
}

fn not_found_is_fine(error: kube::Error) -> Result<(), kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        other => Err(other),
    }
}
