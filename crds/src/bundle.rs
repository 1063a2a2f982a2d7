//! How a bundle lies in the cluster: gzip shards in immutable ConfigMaps, and one manifest that names them and is
//! written last. The operator packs, the agents unpack and trust nothing that does not hash to what was announced.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use saker_rules::limits::MAX_BUNDLE_BYTES;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Name of the ConfigMap that holds the [`Manifest`].
pub const MANIFEST_NAME: &str = "saker-manifest";
/// The manifest's key in its ConfigMap (`data`).
pub const MANIFEST_KEY: &str = "manifest.json";
/// SHA-256 of the token by which agents know the operator, in the manifest's ConfigMap (`data`).
pub const TOKEN_KEY: &str = "operator-token.sha256";
/// A shard's key in its ConfigMap (`binaryData`).
pub const SHARD_KEY: &str = "bundle.gz";
/// On every ConfigMap of a bundle: the first digits of its hash.
pub const BUNDLE_LABEL: &str = "saker.dev/bundle";

/// Bytes of one shard, so that a ConfigMap stays below the API server's 1 MiB, base64 included.
pub const MAX_SHARD_BYTES: usize = 768 << 10;
/// Shards of one bundle.
pub const MAX_SHARDS: usize = 64;

/// What the agents watch: which bundle to run and where its parts are.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// SHA-256 of the bundle's text, in hexadecimal.
    pub hash: String,
    /// Grows by one with each bundle.
    pub generation: u64,
    /// The bundle before this one, whose shards stay for agents that are still on their way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The parts, in order.
    pub shards: Vec<ShardRef>,
}

/// Where one part is, and what it must be.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ShardRef {
    /// The ConfigMap.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// One part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The ConfigMap.
    pub name: String,
    /// A piece of the gzip stream.
    pub bytes: Vec<u8>,
}

/// Why a bundle in the cluster is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum UnpackError {
    #[error("the manifest names {0} shards, at most {MAX_SHARDS} are allowed")]
    TooManyShards(usize),
    #[error("shard {0} is missing or was tampered with: its SHA-256 is not the manifest's")]
    Shard(String),
    #[error("the shards are no gzip stream: {0}")]
    Gzip(#[from] std::io::Error),
    #[error("the bundle is larger than {MAX_BUNDLE_BYTES} bytes")]
    TooLarge,
    #[error("the bundle does not hash to {0}, which its manifest announces")]
    Hash(String),
}

/// The shards of a bundle and the manifest that names them and follows `before`.
pub fn pack(text: &str, before: Option<&Manifest>) -> std::io::Result<(Manifest, Vec<Shard>)> {
    let hash = sha256(text.as_bytes());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes())?;
    let packed = gzip.finish()?;
    let shards: Vec<_> = packed
        .chunks(MAX_SHARD_BYTES)
        .enumerate()
        .map(|(i, bytes)| Shard { name: format!("saker-bundle-{}-{i}", short(&hash)), bytes: bytes.to_vec() })
        .collect();
    let refs = shards.iter().map(|s| ShardRef { name: s.name.clone(), sha256: sha256(&s.bytes) }).collect();
    Ok((follow(before, hash, refs), shards))
}

/// The same bundle again is the same manifest.
fn follow(before: Option<&Manifest>, hash: String, shards: Vec<ShardRef>) -> Manifest {
    match before {
        Some(before) if before.hash == hash => Manifest { hash, shards, ..before.clone() },
        Some(before) => Manifest {
            hash,
            generation: before.generation.saturating_add(1),
            previous: Some(before.hash.clone()),
            shards,
        },
        None => Manifest { hash, generation: 1, previous: None, shards },
    }
}

/// The text of the bundle that `manifest` announces, from its shards in the manifest's order.
pub fn unpack(manifest: &Manifest, shards: &[Vec<u8>]) -> Result<String, UnpackError> {
    if manifest.shards.len() > MAX_SHARDS {
        return Err(UnpackError::TooManyShards(manifest.shards.len()));
    }
    for (i, wanted) in manifest.shards.iter().enumerate() {
        if shards.get(i).is_none_or(|bytes| sha256(bytes) != wanted.sha256) {
            return Err(UnpackError::Shard(wanted.name.clone()));
        }
    }
    let text = gunzip(&shards.concat())?;
    if sha256(text.as_bytes()) == manifest.hash {
        Ok(text)
    } else {
        Err(UnpackError::Hash(manifest.hash.clone()))
    }
}

/// The digits of a hash that go into names.
pub fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn gunzip(packed: &[u8]) -> Result<String, UnpackError> {
    let mut text = String::new();
    let limit = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(packed).take(limit).read_to_string(&mut text)?;
    if text.len() > MAX_BUNDLE_BYTES { Err(UnpackError::TooLarge) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(shards: Vec<Shard>) -> Vec<Vec<u8>> {
        shards.into_iter().map(|s| s.bytes).collect()
    }

    /// Text that gzip cannot make small.
    fn noise(length: usize) -> String {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + u8::try_from((state >> 33) % 95).unwrap_or(0))
        };
        (0..length).map(|_| next()).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(text in ".{0,2000}") {
            let (manifest, shards) = pack(&text, None).unwrap();
            prop_assert_eq!(unpack(&manifest, &bytes(shards)).unwrap(), text);
        }

        #[test]
        fn no_garbage_panics(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let refs = vec![ShardRef { name: "x".into(), sha256: sha256(&garbage) }];
            let manifest = Manifest { hash: sha256(b""), generation: 1, previous: None, shards: refs };
            prop_assert!(unpack(&manifest, &[garbage]).is_err());
        }
    }

    #[test]
    fn a_large_bundle_becomes_several_shards_below_the_limit() {
        let text = noise(2 << 20);
        let (manifest, shards) = pack(&text, None).unwrap();
        assert!(
            shards.len() > 1 && shards.iter().all(|s| s.bytes.len() <= MAX_SHARD_BYTES),
            "{}",
            shards.len()
        );
        assert_eq!(shards[1].name, format!("saker-bundle-{}-1", short(&manifest.hash)));
        assert_eq!(unpack(&manifest, &bytes(shards)).unwrap(), text);
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let (manifest, shards) = pack("- rule: a", None).unwrap();
        let mut bytes = bytes(shards);
        bytes[0][12] ^= 1;
        assert!(
            matches!(unpack(&manifest, &bytes), Err(UnpackError::Shard(name)) if name == manifest.shards[0].name)
        );
        assert!(matches!(unpack(&manifest, &[]), Err(UnpackError::Shard(_))));
    }

    #[test]
    fn shards_of_another_text_are_refused_by_the_bundles_hash() {
        let (mut manifest, shards) = pack("- rule: a", None).unwrap();
        manifest.hash = sha256(b"- rule: b");
        assert!(matches!(unpack(&manifest, &bytes(shards)), Err(UnpackError::Hash(_))));
    }

    #[test]
    fn manifests_follow_each_other() {
        let (first, _) = pack("a", None).unwrap();
        assert_eq!(pack("a", Some(&first)).unwrap().0, first);
        let (second, _) = pack("b", Some(&first)).unwrap();
        assert_eq!((second.generation, second.previous.as_deref()), (2, Some(first.hash.as_str())));
    }

    #[test]
    fn a_bomb_is_refused() {
        let (manifest, shards) = pack(&"a".repeat(MAX_BUNDLE_BYTES + 1), None).unwrap();
        assert!(matches!(unpack(&manifest, &bytes(shards)), Err(UnpackError::TooLarge)));
    }
}
