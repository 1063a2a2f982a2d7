//! What Saker keeps in the Kubernetes API: the [`FalcoRule`] resource, its schema and translation to a rules file,
//! and the ConfigMaps in which a bundle travels from the operator to the agents.

pub mod agent;
pub mod bundle;
pub mod falco_rule;
pub mod items;

pub mod status;
mod translate;

pub use falco_rule::{FalcoRule, FalcoRuleSpec};
pub use status::FalcoRuleStatus;

use kube::CustomResourceExt;

/// The CustomResourceDefinitions as YAML, ready for `kubectl apply`.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let body = serde_saphyr::to_string(&FalcoRule::crd())?;
    Ok(format!("# Generated from crds/src; `UPDATE_EXPECT=1 cargo test -p saker-crds` rewrites it.\n{body}"))
}
