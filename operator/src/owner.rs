//! Who owns what the operator makes: its Deployment, so that nothing of it outlives the release.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, Resource as _, ResourceExt as _};

/// The name under which the operator owns fields and reports events.
pub const MANAGER: &str = "saker-operator";

/// The Deployment in this namespace; none for an operator that runs outside the cluster, or may not look.
pub async fn find(client: &Client, namespace: &str) -> Option<OwnerReference> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    match deployments.get_opt(MANAGER).await {
        Ok(found) => found.map(|deployment| reference(&deployment)),
        Err(e) => {
            tracing::warn!("uninstalling will leave the bundle behind, its owner cannot be read: {e}");
            None
        }
    }
}

fn reference(deployment: &Deployment) -> OwnerReference {
    OwnerReference {
        api_version: Deployment::api_version(&()).into_owned(),
        kind: Deployment::kind(&()).into_owned(),
        name: deployment.name_any(),
        uid: deployment.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}
