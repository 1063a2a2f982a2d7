//! What the admission webhook says about a FalcoRule before it is in the cluster. Pure.

use std::sync::Arc;

use kube::ResourceExt;
use saker_crds::FalcoRule;

use super::{
    Compiler, dereference,
    validate::{Outcome, cut, validate},
};

/// Warnings in one answer, and bytes of each: kubectl shows them all.
const MAX_WARNINGS: (usize, usize) = (10, 512);

/// The answer to `kubectl apply`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Why it is refused.
    pub refusal: Option<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// Compiles a FalcoRule together with the default rules and those that are there, in whose place it may come.
pub fn admit(compiler: &Compiler, present: Vec<Arc<FalcoRule>>, candidate: FalcoRule) -> Admission {
    let is_it = |rule: &FalcoRule| {
        rule.namespace() == candidate.namespace() && rule.name_any() == candidate.name_any()
    };
    let mut rules: Vec<_> = present.into_iter().filter(|rule| !is_it(rule)).collect();
    let candidate = Arc::new(candidate);
    rules.push(Arc::clone(&candidate));
    let validated = validate(dereference::in_order(rules), compiler);
    let Some(verdict) = validated.verdicts.iter().find(|verdict| Arc::ptr_eq(&verdict.rule, &candidate))
    else {
        return Admission::default();
    };
    match &verdict.outcome {
        Outcome::Rejected(reason) => Admission { refusal: Some(reason.clone()), ..Admission::default() },
        Outcome::Disabled => Admission::default(),
        Outcome::Accepted => {
            let warnings = compiler.warnings(&validated.bundle, &verdict.file).into_iter();
            let warnings = warnings.take(MAX_WARNINGS.0).map(|text| cut(text, MAX_WARNINGS.1));
            Admission { refusal: None, warnings: warnings.collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use saker_crds::FalcoRuleSpec;
    use serde::Deserialize;

    use super::*;
    use crate::falco_rule::validate::tests::{compiler, rule};

    #[derive(Deserialize)]
    struct Case {
        name: String,
        #[serde(default)]
        present: BTreeMap<String, FalcoRuleSpec>,
        candidate: FalcoRuleSpec,
        /// Parts of the refusal; none if it is admitted.
        #[serde(default)]
        refusal: Vec<String>,
        /// A part of each warning.
        #[serde(default)]
        warnings: Vec<String>,
    }

    fn check(case: Case) {
        let present = case.present.into_iter().map(|(id, spec)| Arc::new(rule(&id, spec))).collect();
        let said = admit(&compiler(), present, rule("ns/candidate", case.candidate));
        let seen = format!("{}: {said:?}", case.name);
        assert_eq!(said.refusal.is_some(), !case.refusal.is_empty(), "{seen}");
        let refusal = said.refusal.unwrap_or_default();
        assert!(case.refusal.iter().all(|part| refusal.contains(part)), "{seen}");
        assert_eq!(said.warnings.len(), case.warnings.len(), "{seen}");
        assert!(case.warnings.iter().zip(&said.warnings).all(|(part, text)| text.contains(part)), "{seen}");
    }

    #[test]
    fn a_falcorule_is_judged_before_it_is_in_the_cluster() {
        let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/admit.yaml")).unwrap();
        assert!(!cases.is_empty());
        cases.into_iter().for_each(check);
    }
}
