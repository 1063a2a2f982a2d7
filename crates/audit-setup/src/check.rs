//! Which rules a policy leaves blind.

use std::collections::BTreeSet;

use crate::{
    demand::{AuditRule, Users, mentions},
    derive::{Line, derive},
    facts::{Attribute, Fact, Facts},
    policy::{Level, Policy, PolicyRule, Request, RequestTarget},
    requests::{Alternative, candidates},
};

/// A user, a namespace and a path that no policy names.
const SOMEONE: &str = "someone";
const SOMEWHERE: &str = "somewhere";

/// A rule that does not get all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The rule.
    pub rule: String,
    /// Whether its condition lacks something; otherwise only its alerts do.
    pub blind: bool,
    /// Whether it gets what it needs of no request at all.
    pub wholly: bool,
    /// The level that it needs.
    pub needs: Level,
    /// Requests that are logged at a lower level.
    pub unseen: Vec<Unseen>,
    /// Lines that would do if they stood first.
    pub fix: Vec<Line>,
}

/// Requests that a rule does not see, all by the same line of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Line of the policy's text; 0 if no rule of the policy matches.
    pub line: u64,
    /// How much is logged; [`Level::None`] also if the stage is not written.
    pub level: Level,
    /// The requests: `create pods`.
    pub requests: BTreeSet<String>,
}

/// The rules that the policy leaves without something, in their order.
pub fn check(policy: &Policy, rules: &[AuditRule<'_>]) -> Vec<Gap> {
    let alternatives: Vec<_> = candidates(&mentions(rules))
        .into_iter()
        .flat_map(|candidate| {
            let verbs = candidate.verbs();
            candidate.alternatives.into_iter().map(move |alternative| (alternative, verbs))
        })
        .collect();
    rules.iter().filter_map(|rule| Checker { policy, rule }.gap(&alternatives)).collect()
}

struct Checker<'a> {
    policy: &'a Policy,
    rule: &'a AuditRule<'a>,
}

impl Checker<'_> {
    fn gap(&self, alternatives: &[(Alternative, &[&str])]) -> Option<Gap> {
        let mut unseen: Vec<Unseen> = Vec::new();
        let (mut blind, mut seen) = (false, false);
        for (alternative, verbs) in alternatives {
            for verb in *verbs {
                let facts = alternative.facts.clone().with(Attribute::Verb, Fact::is(verb));
                for request in self.requests(&facts, verb, &alternative.example) {
                    let (level, line) = self.logged(&facts, &request);
                    blind |= level < self.rule.level_to_match();
                    seen |= level >= self.rule.level_to_match();
                    if level < self.rule.level() {
                        note(&mut unseen, line, level, describe(&request));
                    }
                }
            }
        }
        let fix = || derive(std::slice::from_ref(self.rule)).lines;
        (!unseen.is_empty()).then(|| Gap {
            rule: self.rule.name().to_owned(),
            blind,
            wholly: !seen,
            needs: self.rule.level(),
            unseen,
            fix: fix().into_iter().filter(|line| line.rule.level > Level::None).collect(),
        })
    }

    /// The lowest level at which an event of the request is written that the rule may match, and by which line.
    fn logged(&self, facts: &Facts, request: &Request) -> (Level, u64) {
        let decision = self.policy.decide(request);
        let level = self.rule.stages(facts).map(|stage| decision.at(stage)).max().unwrap_or_default();
        let rule = decision.rule.and_then(|at| self.policy.rules.get(at));
        (level, rule.map_or(0, |rule| rule.referenced.line()))
    }

    /// Requests that the rule may match, at some stage: an ordinary one, and one for whatever the policy makes a difference of.
    fn requests(&self, facts: &Facts, verb: &str, target: &RequestTarget) -> Vec<Request> {
        let Some(users) = self.rule.users(facts).filter(|_| self.rule.stages(facts).next().is_some()) else {
            return Vec::new();
        };
        let users: Vec<String> = match users {
            Users::Only(users) => users.into_iter().collect(),
            Users::Any => self.possible(facts, Attribute::User, SOMEONE, |rule| &rule.users),
        };
        let targets = self.targets(facts, target);
        let request = |(user, target): (&String, &RequestTarget)| Request {
            user: user.clone(),
            groups: Vec::new(),
            verb: verb.to_owned(),
            target: target.clone(),
        };
        users.iter().flat_map(|user| targets.iter().map(move |target| request((user, target)))).collect()
    }

    fn targets(&self, facts: &Facts, target: &RequestTarget) -> Vec<RequestTarget> {
        match target {
            RequestTarget::Path(path) => {
                let paths = self.possible(facts, Attribute::Uri, path, |rule| &rule.non_resource_urls);
                paths
                    .into_iter()
                    .map(|path| RequestTarget::Path(path.trim_end_matches('*').to_owned()))
                    .collect()
            }
            RequestTarget::Resource { group, resource, subresource, name, .. } => {
                let namespaces =
                    self.possible(facts, Attribute::Namespace, SOMEWHERE, |rule| &rule.namespaces);
                let in_namespace = |namespace| RequestTarget::Resource {
                    group: group.clone(),
                    resource: resource.clone(),
                    subresource: subresource.clone(),
                    namespace,
                    name: name.clone(),
                };
                namespaces.into_iter().map(in_namespace).collect()
            }
        }
    }

    /// Values of an attribute that the rule may match: an ordinary one, those that the policy names, and, if the
    /// rule matches none of these, those that the rule names.
    fn possible(
        &self,
        facts: &Facts,
        attribute: Attribute,
        ordinary: &str,
        named: impl Fn(&PolicyRule) -> &Vec<String>,
    ) -> Vec<String> {
        let by_policy = self.policy.rules.iter().flat_map(|rule| named(&rule.value).clone());
        let by_rule = self.rule.mentions(attribute);
        let values: BTreeSet<_> = by_policy.chain(by_rule).chain([ordinary.to_owned()]).collect();
        let may = |value: &String| {
            let fact = Fact::is(value.trim_end_matches('*'));
            facts.clone().with(attribute, fact).allow(self.rule.condition())
        };
        values.into_iter().filter(may).collect()
    }
}

fn note(unseen: &mut Vec<Unseen>, line: u64, level: Level, request: String) {
    match unseen.iter_mut().find(|unseen| (unseen.line, unseen.level) == (line, level)) {
        Some(unseen) => drop(unseen.requests.insert(request)),
        None => unseen.push(Unseen { line, level, requests: BTreeSet::from([request]) }),
    }
}

fn describe(request: &Request) -> String {
    let target = match &request.target {
        RequestTarget::Path(path) => path.clone(),
        RequestTarget::Resource { resource, subresource, .. } if subresource.is_empty() => resource.clone(),
        RequestTarget::Resource { resource, subresource, .. } => format!("{resource}/{subresource}"),
    };
    let user = if request.user == SOMEONE { String::new() } else { format!(" by {}", request.user) };
    format!("{} {target}{user}", request.verb)
}
