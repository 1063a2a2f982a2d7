//! What the admission webhook says about a resource before it is in the cluster. Pure.

use jiff::Timestamp;

use super::{
    Compiler, Resource, dereference,
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

/// Compiles a resource together with the default rules and those that are there, in whose place it may come.
pub fn admit(
    compiler: &Compiler,
    mut present: Vec<Resource>,
    candidate: &Resource,
    now: Timestamp,
) -> Admission {
    present.retain(|resource| !resource.is(candidate));
    present.push(candidate.clone());
    let validated = validate(dereference::in_order(present), compiler, now);
    let Some(verdict) = validated.verdicts.iter().find(|verdict| verdict.resource.is(candidate)) else {
        return Admission::default();
    };
    match &verdict.outcome {
        Outcome::Rejected(reason) => Admission { refusal: Some(reason.clone()), ..Admission::default() },
        Outcome::Disabled => Admission::default(),
        Outcome::Expired(end) => {
            let warning = format!("spec.expiresAt is {end}, which has passed: this has no effect");
            Admission { warnings: vec![warning], ..Admission::default() }
        }
        Outcome::Accepted => {
            let warnings = compiler.warnings(&validated.bundle, &verdict.file).into_iter();
            let warnings = warnings.take(MAX_WARNINGS.0).map(|text| cut(text, MAX_WARNINGS.1));
            Admission { refusal: None, warnings: warnings.collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use saker_crds::{FalcoRuleExceptionSpec, FalcoRuleSpec};
    use serde::Deserialize;

    use super::*;
    use crate::falco_rule::validate::tests::{compiler, exception, rule};

    #[derive(Deserialize)]
    struct Case {
        name: String,
        #[serde(default)]
        present: BTreeMap<String, FalcoRuleSpec>,
        #[serde(flatten)]
        candidate: Candidate,
        /// Parts of the refusal; none if it is admitted.
        #[serde(default)]
        refusal: Vec<String>,
        /// A part of each warning.
        #[serde(default)]
        warnings: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Candidate {
        Rule(FalcoRuleSpec),
        Exception(FalcoRuleExceptionSpec),
    }

    fn check(case: Case) {
        let resource = |id: &str, spec| Resource::Rule(Arc::new(rule(id, spec)));
        let present = case.present.into_iter().map(|(id, spec)| resource(&id, spec)).collect();
        let candidate = match case.candidate {
            Candidate::Rule(spec) => resource("ns/candidate", spec),
            Candidate::Exception(spec) => Resource::Exception(Arc::new(exception("ns/candidate", spec))),
        };
        let said = admit(&compiler(), present, &candidate, "2026-01-01T12:00:00Z".parse().unwrap());
        let seen = format!("{}: {said:?}", case.name);
        assert_eq!(said.refusal.is_some(), !case.refusal.is_empty(), "{seen}");
        let refusal = said.refusal.unwrap_or_default();
        assert!(case.refusal.iter().all(|part| refusal.contains(part)), "{seen}");
        assert_eq!(said.warnings.len(), case.warnings.len(), "{seen}");
        assert!(case.warnings.iter().zip(&said.warnings).all(|(part, text)| text.contains(part)), "{seen}");
    }

    #[test]
    fn a_resource_is_judged_before_it_is_in_the_cluster() {
        let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/admit.yaml")).unwrap();
        assert!(!cases.is_empty());
        cases.into_iter().for_each(check);
    }
}
