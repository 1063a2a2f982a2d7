//! From the manifest to the bundle, every part checked against its hash.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use saker_crds::bundle::{MANIFEST_KEY, MAX_SHARDS, Manifest, SHARD_KEY, UnpackError, unpack};
use saker_rules::bundle::Bundle;

/// Why the announced bundle is not taken over.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum FetchError {
    #[error("the cluster has no ConfigMap {0}, which announces the rules: is the operator running?")]
    NoBundle(String),
    #[error("the manifest has no key {MANIFEST_KEY}")]
    NoManifest,
    #[error("the manifest is no manifest: {0}")]
    Manifest(#[from] serde_json::Error),
    #[error("cannot fetch shard {0}: {1}")]
    Shard(String, #[source] kube::Error),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("the bundle does not parse; is the operator newer than this agent? {0}")]
    Parse(String),
}

/// What the ConfigMap announces.
pub(super) fn manifest(map: &ConfigMap) -> Result<Manifest, FetchError> {
    let text = map.data.as_ref().and_then(|data| data.get(MANIFEST_KEY)).ok_or(FetchError::NoManifest)?;
    Ok(serde_json::from_str(text)?)
}

/// Fetches the shards and puts them together.
pub(super) async fn bundle(api: &Api<ConfigMap>, manifest: &Manifest) -> Result<Bundle, FetchError> {
    let mut shards = Vec::new();
    for shard in manifest.shards.iter().take(MAX_SHARDS) {
        let map = api.get(&shard.name).await.map_err(|e| FetchError::Shard(shard.name.clone(), e))?;
        let bytes = map.binary_data.and_then(|mut data| data.remove(SHARD_KEY));
        shards.push(bytes.map(|bytes| bytes.0).unwrap_or_default());
    }
    parse(&unpack(manifest, &shards)?)
}

/// The text of a bundle, read.
pub(super) fn parse(text: &str) -> Result<Bundle, FetchError> {
    Bundle::from_text(text).map_err(|e| FetchError::Parse(e.to_string()))
}
