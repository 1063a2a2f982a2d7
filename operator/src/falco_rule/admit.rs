//! What the admission webhook says about a resource before it is in the cluster. Pure.

use jiff::Timestamp;
use saker_crds::Scope;
use saker_rules::{
    explain::{Explanation, Relation, cost::Level, explain_file},
    load::Loaded,
};

use super::{
    Compiler, Resource, dereference,
    validate::{Outcome, sentence, trial},
};
use crate::rollout::cut;

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
    let resources = dereference::in_order(present, compiler.tenancy());
    let trial = trial(resources, compiler, now, |guilty| guilty.is(candidate));
    let Some(verdict) = trial.verdicts.iter().find(|verdict| verdict.resource.is(candidate)) else {
        return Admission::default();
    };
    match &verdict.outcome {
        Outcome::Invalid(reason) | Outcome::Rejected(reason) => {
            Admission { refusal: Some(reason.clone()), ..Admission::default() }
        }
        Outcome::Off => Admission::default(),
        Outcome::Expired(end) => {
            let warning = format!("spec.expiresAt is {end}, which has passed: this has no effect");
            Admission { warnings: vec![warning], ..Admission::default() }
        }
        Outcome::Accepted => {
            let confined = confined(verdict.scope, candidate);
            let warnings = confined.into_iter().chain(warnings(&trial.loaded, &verdict.file));
            let warnings = warnings.take(MAX_WARNINGS.0).map(|text| cut(text, MAX_WARNINGS.1));
            Admission { refusal: None, warnings: warnings.collect() }
        }
    }
}

/// The scope is not the one that was asked for.
fn confined(scope: Scope, candidate: &Resource) -> Option<String> {
    let Resource::Rule(rule) = candidate else { return None };
    (rule.spec.scope != scope).then(|| {
        format!(
            "namespace {} is confined to itself: the rules see its own pods and audit events only, as with scope Namespace",
            candidate.namespace()
        )
    })
}

/// What the author of a file that loads should know: what the compiler says of it, what it replaces, and what its
/// rules will not do, or only at a price.
fn warnings(loaded: &Loaded, file: &str) -> impl Iterator<Item = String> {
    let said = loaded.files.iter().filter(|report| report.name == file).flat_map(|report| &report.warnings);
    let replaced = loaded.replaced.iter().filter(|replaced| replaced.file() == file).map(ToString::to_string);
    let said: Vec<_> = said.map(sentence).chain(replaced).collect();
    said.into_iter().chain(explain_file(loaded, file).into_iter().flat_map(|rule| about_rule(&rule)))
}

fn about_rule(rule: &Explanation) -> Vec<String> {
    let blind = rule.fields.iter().filter_map(|field| Some((&field.name, field.blind?)));
    let blind = blind.map(|(field, why)| format!("blind to {field}: {why}"));
    let costly = rule.costs.iter().filter(|cost| cost.level == Level::High && !cost.parts.is_empty());
    let costly = costly.map(|cost| format!("costly: {}: {}", cost.parts.join(", "), cost.reason));
    let shadowed = rule.overlaps.iter().filter(|overlap| overlap.relation == Relation::AlwaysShadowedBy);
    let shadowed = shadowed.map(|overlap| {
        format!(
            "'{}' comes first and matches all that it does: with rule_matching first it never alerts",
            overlap.rule
        )
    });
    let said = blind.chain(shadowed).chain(costly);
    said.map(|text| format!("rule '{}': {text}", rule.rule)).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use saker_crds::{FalcoRuleExceptionSpec, FalcoRuleSpec};
    use serde::Deserialize;

    use super::*;
    use crate::falco_rule::validate::tests::{confined, exception, rule};

    #[derive(Deserialize)]
    struct Case {
        name: String,
        /// The namespaces that may use scope Cluster; all if there are none.
        #[serde(default)]
        fleet: Vec<String>,
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
        let said = admit(&confined(case.fleet), present, &candidate, "2026-01-01T12:00:00Z".parse().unwrap());
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
