//! What rules come from: FalcoRules, and the FalcoRuleExceptions that tune them.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Resource as _, ResourceExt as _,
    api::{ApiResource, ObjectMeta},
};
use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleStatus, Mode, Scope};
use saker_rules::binding::Binding;

use super::validate::Outcome;
use crate::tenancy::Tenancy;

/// One object of the cluster.
#[derive(Debug, Clone)]
pub enum Resource {
    /// Rules, macros, lists.
    Rule(Arc<FalcoRule>),
    /// An exception to a rule.
    Exception(Arc<FalcoRuleException>),
}

impl Resource {
    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Rule(rule) => &rule.metadata,
            Self::Exception(exception) => &exception.metadata,
        }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// What was last written about it.
    pub fn status(&self) -> Option<&FalcoRuleStatus> {
        match self {
            Self::Rule(rule) => rule.status.as_ref(),
            Self::Exception(exception) => exception.status.as_ref(),
        }
    }

    /// Takes note of what was written about it.
    pub fn set_status(&mut self, status: Option<FalcoRuleStatus>) {
        match self {
            Self::Rule(rule) => Arc::make_mut(rule).status = status,
            Self::Exception(exception) => Arc::make_mut(exception).status = status,
        }
    }

    /// Where it is in the API.
    pub fn api_resource(&self) -> ApiResource {
        match self {
            Self::Rule(_) => ApiResource::erase::<FalcoRule>(&()),
            Self::Exception(_) => ApiResource::erase::<FalcoRuleException>(&()),
        }
    }

    /// A reference for Events.
    pub fn object_ref(&self) -> ObjectReference {
        match self {
            Self::Rule(rule) => rule.object_ref(&()),
            Self::Exception(exception) => exception.object_ref(&()),
        }
    }

    /// Name of its file in the bundle.
    pub fn file(&self) -> String {
        let kind = self.api_resource().kind.to_lowercase();
        format!("{kind}/{}/{}.yaml", self.namespace(), self.name())
    }

    /// The text of its file.
    pub fn rules_file(&self) -> Result<String, String> {
        let text = match self {
            Self::Rule(rule) => rule.spec.to_rules_file(),
            Self::Exception(exception) => {
                exception.spec.to_rules_file(&format!("{}/{}", self.namespace(), exception.name_any()))
            }
        };
        text.map_err(|e| format!("cannot be written as a rules file: {e}"))
    }

    /// What is known before it is compiled: whether it counts at this time at all.
    pub(super) fn outcome(&self, now: Timestamp) -> Outcome {
        match self {
            Self::Rule(rule) if rule.spec.mode == Mode::Off => Outcome::Off,
            Self::Exception(exception) => match exception.spec.expires_at {
                Some(Time(end)) if end <= now => Outcome::Expired(end),
                _ => Outcome::Accepted,
            },
            Self::Rule(_) => Outcome::Accepted,
        }
    }

    /// Whether it brings rules, and does not only change them.
    pub(super) fn defines_rules(&self) -> bool {
        matches!(self, Self::Rule(_))
    }

    /// Whose events its rules see.
    pub(super) fn scope(&self, tenancy: &Tenancy) -> Scope {
        match self {
            Self::Rule(rule) => tenancy.scope(self.namespace(), rule.spec.scope),
            Self::Exception(_) => tenancy.scope(self.namespace(), Scope::Cluster),
        }
    }

    /// What sets its file apart; `owners` are the namespaces that have rules of their own.
    pub(super) fn binding(
        &self,
        scope: Scope,
        tenancy: &Tenancy,
        owners: &BTreeSet<String>,
    ) -> Result<Option<Binding>, String> {
        let namespace = self.namespace();
        match self {
            Self::Rule(rule) => rule.spec.binding(namespace, scope),
            Self::Exception(_) => {
                let confined = tenancy.confines(namespace);
                let owner = Some(namespace.to_owned());
                let own = || Binding { owner, tunes: !confined, ..Binding::default() };
                Ok((confined || owners.contains(namespace)).then(own))
            }
        }
    }

    /// FalcoRules by scope, weight, namespace and name; then the exceptions, which need rules to be exceptions to. The
    /// rules of a namespace stand behind those of the fleet: they take no event away from these.
    pub(super) fn order(&self, tenancy: &Tenancy) -> (bool, bool, i32, String, String) {
        let weight = match self {
            Self::Rule(rule) => rule.spec.weight,
            Self::Exception(_) => 0,
        };
        let own = self.scope(tenancy) == Scope::Namespace;
        (!self.defines_rules(), own, weight, self.namespace().to_owned(), self.name().to_owned())
    }

    /// Whether both are the same object, as it was then and as it is now.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && (self.namespace(), self.name()) == (other.namespace(), other.name())
    }
}
