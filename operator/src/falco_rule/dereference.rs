//! Step 1: what is in the cluster. Needs the client.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};
use saker_crds::{
    FalcoRule,
    bundle::{BUNDLE_LABEL, MANIFEST_KEY, MANIFEST_NAME, Manifest},
};

use super::Context;

/// What the other steps start from.
pub(super) struct Found {
    /// Every FalcoRule in the order of loading.
    pub(super) rules: Vec<Arc<FalcoRule>>,
    /// The bundle that is there now.
    pub(super) cluster: Cluster,
}

/// The ConfigMaps of bundles.
#[derive(Default)]
pub(super) struct Cluster {
    /// All of them, the manifest's too.
    pub(super) config_maps: Vec<ConfigMap>,
    /// What the manifest says, if it is there and readable.
    pub(super) manifest: Option<Manifest>,
}

/// Reads it; fails as a whole, so that a failed list never looks like an empty one.
pub(super) async fn dereference(context: &Context) -> Result<Found, kube::Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.namespace);
    let config_maps = api.list(&ListParams::default().labels(BUNDLE_LABEL)).await?.items;
    Ok(Found { rules: in_order(context.rules.state()), cluster: cluster(config_maps) })
}

fn cluster(config_maps: Vec<ConfigMap>) -> Cluster {
    let manifest = config_maps.iter().find(|map| map.name_any() == MANIFEST_NAME).and_then(manifest);
    Cluster { config_maps, manifest }
}

fn manifest(map: &ConfigMap) -> Option<Manifest> {
    let text = map.data.as_ref()?.get(MANIFEST_KEY)?;
    serde_json::from_str(text)
        .inspect_err(|e| tracing::warn!("the manifest is unreadable, writing it anew: {e}"))
        .ok()
}

/// Weight, then namespace and name.
pub(super) fn in_order(mut rules: Vec<Arc<FalcoRule>>) -> Vec<Arc<FalcoRule>> {
    rules.retain(|rule| rule.metadata.deletion_timestamp.is_none());
    rules.sort_by_cached_key(|rule| (rule.spec.weight, rule.namespace(), rule.name_any()));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(namespace: &str, name: &str, weight: i32) -> Arc<FalcoRule> {
        let mut rule = FalcoRule::new(name, saker_crds::FalcoRuleSpec { weight, ..Default::default() });
        rule.metadata.namespace = Some(namespace.to_owned());
        Arc::new(rule)
    }

    #[test]
    fn the_order_is_weight_then_namespace_then_name() {
        let rules =
            in_order(vec![rule("b", "a", 0), rule("a", "z", 1), rule("a", "b", 0), rule("z", "z", -1)]);
        let names: Vec<_> =
            rules.iter().map(|r| format!("{}/{}", r.namespace().unwrap(), r.name_any())).collect();
        assert_eq!(names, ["z/z", "a/b", "b/a", "a/z"]);
    }

    #[test]
    fn an_unreadable_manifest_counts_as_none() {
        let mut map = ConfigMap {
            data: Some([(MANIFEST_KEY.to_owned(), "{".to_owned())].into()),
            ..Default::default()
        };
        map.metadata.name = Some(MANIFEST_NAME.to_owned());
        assert_eq!(cluster(vec![map]).manifest, None);
    }
}
