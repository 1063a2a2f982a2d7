//! Step 1: what is in the cluster. Needs the client.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};
use saker_crds::bundle::{BUNDLE_LABEL, MANIFEST_KEY, MANIFEST_NAME, Manifest};

use super::{Context, Resource};
use crate::tenancy::Tenancy;

/// What the other steps start from.
pub(super) struct Found {
    /// Everything that rules come from, in the order of loading.
    pub(super) resources: Vec<Resource>,
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
    let mut resources = super::resources(&context.rules, &context.exceptions, context.compiler.tenancy());
    context.ledger.lock().await.held.catch_up(&mut resources);
    Ok(Found { resources, cluster: cluster(config_maps) })
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

/// The order of loading, without what is being deleted.
pub(super) fn in_order(mut resources: Vec<Resource>, tenancy: &Tenancy) -> Vec<Resource> {
    resources.retain(|resource| resource.metadata().deletion_timestamp.is_none());
    resources.sort_by_cached_key(|resource| resource.order(tenancy));
    resources
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleExceptionSpec};

    use super::*;

    fn rule(namespace: &str, name: &str, weight: i32) -> Resource {
        let mut rule = FalcoRule::new(name, saker_crds::FalcoRuleSpec { weight, ..Default::default() });
        rule.metadata.namespace = Some(namespace.to_owned());
        Resource::Rule(Arc::new(rule))
    }

    fn exception(name: &str) -> Resource {
        Resource::Exception(Arc::new(FalcoRuleException::new(name, FalcoRuleExceptionSpec::default())))
    }

    #[test]
    fn the_order_is_weight_then_namespace_then_name_and_exceptions_last() {
        let rules = [rule("b", "a", 0), rule("a", "z", 1), rule("a", "b", 0), rule("z", "z", -1)];
        let resources: Vec<_> = [exception("y"), exception("x")].into_iter().chain(rules).collect();
        let names = |tenancy: &Tenancy| {
            let ordered = in_order(resources.clone(), tenancy);
            ordered.iter().map(|r| format!("{}/{}", r.namespace(), r.name())).collect::<Vec<_>>()
        };
        assert_eq!(names(&Tenancy::default()), ["z/z", "a/b", "b/a", "a/z", "/x", "/y"]);
        let confined = Tenancy::new(vec!["a".to_owned()]);
        assert_eq!(names(&confined), ["a/b", "a/z", "z/z", "b/a", "/x", "/y"]);
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
