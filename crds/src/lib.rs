//! What Saker keeps in the Kubernetes API: the [`FalcoRule`] resource, its schema and translation to a rules file,
//! what runs on each node ([`SakerNode`]), and the ConfigMaps in which a bundle travels from the operator to the agents.

pub mod agent;
pub mod audit_sink;
mod bind;
pub mod bundle;
pub mod falco_rule;
pub mod falco_rule_exception;
pub mod items;
pub mod saker_node;
pub mod scope;
pub mod selector;
pub mod status;
mod translate;

pub use audit_sink::{AuditSink, AuditSinkSpec, AuditSinkStatus};
pub use falco_rule::{FalcoRule, FalcoRuleSpec, Mode};
pub use falco_rule_exception::{FalcoRuleException, FalcoRuleExceptionSpec};
pub use saker_node::{SakerNode, SakerNodeSpec, SakerNodeStatus};
pub use scope::Scope;
pub use status::FalcoRuleStatus;

use kube::CustomResourceExt;

/// The CustomResourceDefinitions as YAML, ready for `kubectl apply`, each with the name of its file.
pub fn crd_yaml() -> Result<[(&'static str, String); 4], serde_saphyr::ser::Error> {
    let yaml = |crd| {
        let body = serde_saphyr::to_string(&crd)?;
        let head = "# Generated from crds/src; `UPDATE_EXPECT=1 cargo test -p saker-crds` rewrites it.";
        Ok::<_, serde_saphyr::ser::Error>(format!("{head}\n{body}"))
    };
    Ok([
        ("auditsinks.yaml", yaml(AuditSink::crd())?),
        ("falcorules.yaml", yaml(FalcoRule::crd())?),
        ("falcoruleexceptions.yaml", yaml(FalcoRuleException::crd())?),
        ("sakernodes.yaml", yaml(SakerNode::crd())?),
    ])
}
