//! Step 3: the bundle's ConfigMaps. Pure.

use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use saker_crds::bundle::{
    BUNDLE_LABEL, MANIFEST_KEY, MANIFEST_NAME, Manifest, SHARD_KEY, Shard, TOKEN_KEY, pack, short,
};
use saker_rules::limits::MAX_BUNDLE_BYTES;

use super::{
    dereference::Cluster,
    validate::{Validated, Verdict},
};
use crate::shipped::{Contents, contents};

/// What shall be in the cluster, beside what is.
pub(super) struct Prepared {
    /// What became of each resource.
    pub(super) verdicts: Vec<Verdict>,
    /// Hash of the bundle.
    pub(super) hash: String,
    /// What its files hold.
    pub(super) contents: Contents,
    /// Its shards, to be there first.
    pub(super) shards: Vec<ConfigMap>,
    /// The manifest, to be written last.
    pub(super) manifest: ConfigMap,
    /// Bundles whose ConfigMaps stay, by their label: this one and the one before.
    pub(super) keep: Vec<String>,
    /// What is there now.
    pub(super) cluster: Cluster,
}

/// Why a bundle cannot be built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("{0} bytes are more than {MAX_BUNDLE_BYTES}: remove rules, or shorten the largest lists")]
    TooLarge(usize),
    #[error(transparent)]
    Gzip(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Packs the accepted rules; the same rules make the same ConfigMaps. `token` is the hash by which agents know the
/// operator's.
pub(super) fn build(validated: Validated, cluster: Cluster, token: Option<&str>) -> Result<Prepared, Error> {
    let text = validated.bundle.to_text();
    if text.len() > MAX_BUNDLE_BYTES {
        return Err(Error::TooLarge(text.len()));
    }
    let (manifest, shards) = pack(&text, cluster.manifest.as_ref())?;
    let keep = [Some(&manifest.hash), manifest.previous.as_ref()];
    Ok(Prepared {
        keep: keep.into_iter().flatten().map(|hash| short(hash).to_owned()).collect(),
        shards: shards.into_iter().map(|shard| shard_map(shard, &manifest.hash)).collect(),
        manifest: manifest_map(&manifest, token)?,
        hash: manifest.hash,
        contents: contents(&validated.bundle),
        verdicts: validated.verdicts,
        cluster,
    })
}

fn shard_map(shard: Shard, hash: &str) -> ConfigMap {
    let mut map = named(&shard.name, hash);
    map.binary_data = Some([(SHARD_KEY.to_owned(), ByteString(shard.bytes))].into());
    map.immutable = Some(true);
    map
}

fn manifest_map(manifest: &Manifest, token: Option<&str>) -> Result<ConfigMap, serde_json::Error> {
    let mut map = named(MANIFEST_NAME, &manifest.hash);
    let token = token.map(|token| (TOKEN_KEY.to_owned(), token.to_owned()));
    let manifest = (MANIFEST_KEY.to_owned(), serde_json::to_string_pretty(manifest)?);
    map.data = Some([manifest].into_iter().chain(token).collect());
    Ok(map)
}

fn named(name: &str, hash: &str) -> ConfigMap {
    let labels = [
        (BUNDLE_LABEL, short(hash)),
        ("app.kubernetes.io/name", "saker"),
        ("app.kubernetes.io/component", "bundle"),
        ("app.kubernetes.io/managed-by", crate::owner::MANAGER),
    ];
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    map
}
