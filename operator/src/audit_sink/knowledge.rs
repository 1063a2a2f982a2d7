//! What the rules ask of an audit policy: the policy derived from them, and the rules that others leave blind. Worked out
//! again only when rules or policies changed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use saker_audit_setup::{AuditRule, check, derive, policy::Policy};
use saker_rules::load::Loaded;

use crate::falco_rule::{Context, versions, with_loaded};

/// Policies of different nodes that are looked at.
const MAX_POLICIES: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    /// Of the resources that the rules come from.
    versions: Vec<(Option<String>, Option<i64>)>,
    policy: String,
    /// Blind rules, or what is wrong with the policy, by its text.
    pub(super) checked: BTreeMap<String, Vec<String>>,
}

impl Knowledge {
    /// The policy that the rules ask for.
    pub(super) fn policy(&self) -> &str {
        &self.policy
    }

    /// What is known of a control plane that a test makes up.
    #[cfg(test)]
    pub(super) fn of(policy: &str, checked: BTreeMap<String, Vec<String>>) -> Self {
        Self { policy: policy.to_owned(), checked, ..Self::default() }
    }

    /// Takes over the rules of now, and looks at these policies.
    pub(super) async fn update<'a>(
        &mut self,
        context: &Context,
        policies: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let policies: Vec<_> = policies.take(MAX_POLICIES).map(str::to_owned).collect();
        let versions = versions(context);
        let same = !self.policy.is_empty() && versions == self.versions;
        if same && policies.iter().all(|policy| self.checked.contains_key(policy)) {
            return Ok(());
        }
        let work = move |loaded: &Loaded| {
            let rules = AuditRule::all(loaded);
            let check = |policy: String| {
                let blind = blind(&policy, &rules);
                (policy, blind)
            };
            (derive(&rules).to_string(), policies.into_iter().map(check).collect())
        };
        (self.policy, self.checked) = with_loaded(context, work).await.context("cannot derive the policy")?;
        self.versions = versions;
        Ok(())
    }
}

fn blind(policy: &str, rules: &[AuditRule<'_>]) -> Vec<String> {
    match Policy::parse(policy) {
        Ok(policy) => check(&policy, rules).into_iter().filter(|gap| gap.blind).map(|gap| gap.rule).collect(),
        Err(e) => vec![e.to_string()],
    }
}
