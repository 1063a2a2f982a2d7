//! Requests of the cluster's own machinery that make most of a log: left out where no rule may match them.

use crate::{
    demand::AuditRule,
    facts::{Attribute, Fact, Facts},
    lines::Row,
    policy::{GroupResources, PolicyRule},
    requests::{path, resource_facts},
};

/// Requests of a kind.
struct Noise {
    users: &'static [&'static str],
    /// A group, with what the names of its users begin with.
    group: Option<(&'static str, &'static str)>,
    verbs: &'static [&'static str],
    /// API group and resource; any if empty.
    resources: &'static [(&'static str, &'static str)],
    /// Beginnings of paths.
    paths: &'static [&'static str],
}

const NOTHING: Noise = Noise { users: &[], group: None, verbs: &[], resources: &[], paths: &[] };

/// Of users by their groups only what an intruder gains nothing by: the groups are in the hands of whoever signs
/// certificates.
const NOISE: [Noise; 4] = [
    Noise {
        users: &[
            "system:apiserver",
            "system:kube-controller-manager",
            "system:kube-proxy",
            "system:kube-scheduler",
            "system:cloud-controller-manager",
        ],
        ..NOTHING
    },
    Noise {
        group: Some(("system:nodes", "system:node:")),
        resources: &[
            ("", "events"),
            ("", "nodes"),
            ("", "nodes/status"),
            ("", "pods/status"),
            ("authentication.k8s.io", "tokenreviews"),
            ("authorization.k8s.io", "subjectaccessreviews"),
            ("coordination.k8s.io", "leases"),
            ("events.k8s.io", "events"),
            ("storage.k8s.io", "csinodes"),
        ],
        ..NOTHING
    },
    Noise {
        group: Some(("system:serviceaccounts:kube-system", "system:serviceaccount:kube-system:")),
        verbs: &["get", "list", "update", "watch"],
        resources: &[
            ("", "endpoints"),
            ("", "events"),
            ("", "services"),
            ("coordination.k8s.io", "leases"),
            ("discovery.k8s.io", "endpointslices"),
        ],
        ..NOTHING
    },
    Noise { paths: &["/healthz", "/livez", "/readyz", "/version", "/metrics", "/openapi/"], ..NOTHING },
];

/// Lines that leave out what no rule may match.
pub(crate) fn rows(rules: &[AuditRule<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for noise in NOISE {
        let users = noise.users.iter().filter(|user| {
            let facts = Facts::default().with(Attribute::User, Fact::is(user));
            is_noise(&facts, rules)
        });
        let users: Vec<_> = users.map(|user| (*user).to_owned()).collect();
        if !users.is_empty() || (noise.users.is_empty() && noise.facts().iter().all(|f| is_noise(f, rules))) {
            let (stages, wanted_by) = Default::default();
            rows.push(Row { rule: noise.rule(users), stages, wanted_by });
        }
    }
    rows
}

fn is_noise(facts: &Facts, rules: &[AuditRule<'_>]) -> bool {
    !rules.iter().any(|rule| facts.allow(rule.condition()))
}

impl Noise {
    fn facts(&self) -> Vec<Facts> {
        let paths = self.paths.iter().map(|start| {
            let fact = Fact::StartsWith((*start).to_owned());
            path().with(Attribute::Uri, fact)
        });
        let resources = self.resources.iter().map(|(group, name)| {
            let (resource, part) = name.split_once('/').unwrap_or((name, ""));
            resource_facts(Fact::is(group), Fact::is(resource), Fact::is(part))
        });
        let user = self.group.map(|(_, start)| Fact::StartsWith(start.to_owned())).unwrap_or_default();
        let of_users = paths.chain(resources).map(|facts| facts.with(Attribute::User, user.clone()));
        let verbs = || self.verbs.iter().map(|verb| Fact::is(verb));
        of_users
            .flat_map(|facts| {
                let any = self.verbs.is_empty().then_some(Fact::Unknown);
                any.into_iter().chain(verbs()).map(move |verb| facts.clone().with(Attribute::Verb, verb))
            })
            .collect()
    }

    fn rule(&self, users: Vec<String>) -> PolicyRule {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let mut resources: Vec<GroupResources> = Vec::new();
        for (group, name) in self.resources {
            match resources.last_mut().filter(|last| last.group == *group) {
                Some(last) => last.resources.push((*name).to_owned()),
                None => resources.push(GroupResources {
                    group: (*group).to_owned(),
                    resources: vec![(*name).to_owned()],
                    ..GroupResources::default()
                }),
            }
        }
        PolicyRule {
            users,
            user_groups: self.group.iter().map(|(group, _)| (*group).to_owned()).collect(),
            verbs: texts(self.verbs),
            resources,
            non_resource_urls: self.paths.iter().map(|path| format!("{path}*")).collect(),
            ..PolicyRule::default()
        }
    }
}
