//! The requests that a policy can tell apart: what may be asked for, and by which verb.

use std::collections::BTreeSet;

use crate::{
    facts::{Attribute, Fact, Facts},
    policy::RequestTarget,
};

/// Verbs of requests for resources (Kubernetes documentation, "Authorization").
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Verbs of other requests: the HTTP methods in small letters.
pub(crate) const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// A resource that rules of a policy can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) group: String,
    /// `pods`, `pods/exec`.
    pub(crate) name: String,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Named(Resource),
    /// Any resource that is not named.
    OtherResource,
    /// A path that is no resource's.
    Path,
}

/// A target with what is known of its requests; several alternatives if it stands for several things.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) target: Target,
    pub(crate) alternatives: Vec<Alternative>,
}

/// What is known of some requests, and what one of them asks for.
#[derive(Debug, Clone)]
pub(crate) struct Alternative {
    pub(crate) facts: Facts,
    pub(crate) example: RequestTarget,
}

impl Candidate {
    /// The verbs of its requests.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.target == Target::Path { &METHODS } else { &VERBS }
    }
}

/// What rules mention: what they ask for besides Kubernetes' own resources.
#[derive(Debug, Default)]
pub(crate) struct Mentioned {
    pub(crate) groups: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
}

/// Group, resource and subresources of a line of the table.
fn table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("../tables/resources.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?, cells.next()?, cells.next()?))
    })
}

/// Every resource and subresource of Kubernetes: group, resource, subresource or "".
pub(crate) fn kubernetes() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    table().flat_map(|(group, resource, parts)| {
        let parts = std::iter::once("").chain(parts.split_whitespace());
        parts.map(move |part| (group, resource, part))
    })
}

pub(crate) fn is_kubernetes(resource: &str) -> bool {
    table().any(|(_, name, _)| name == resource)
}

/// Whether a subresource is one of Kubernetes' own, other than those that every API may have.
pub(crate) fn is_kubernetes_part(part: &str) -> bool {
    !COMMON_PARTS.contains(&part) && kubernetes().any(|(_, _, name)| name == part)
}

/// Subresources that custom resources have, too.
const COMMON_PARTS: [&str; 2] = ["scale", "status"];

/// Everything that may be asked for; the unnamed resources are last.
pub(crate) fn candidates(mentioned: &Mentioned) -> Vec<Candidate> {
    let mut all: Vec<_> = kubernetes().map(|(group, resource, part)| named(group, resource, part)).collect();
    for group in &mentioned.groups {
        let own = |resource: &&String| !kubernetes().any(|(g, r, _)| g == group && r == resource.as_str());
        for resource in mentioned.resources.iter().filter(own) {
            let parts = std::iter::once("").chain(COMMON_PARTS);
            all.extend(parts.map(|part| named(group, resource, part)));
        }
    }
    let other_path = Alternative { facts: path(), example: RequestTarget::Path("/".to_owned()) };
    all.push(Candidate { target: Target::Path, alternatives: vec![other_path] });
    all.push(Candidate { target: Target::OtherResource, alternatives: unnamed(mentioned) });
    all
}

fn named(group: &str, resource: &str, part: &str) -> Candidate {
    let name = if part.is_empty() { resource.to_owned() } else { format!("{resource}/{part}") };
    let target = Target::Named(Resource { group: group.to_owned(), name });
    Candidate { target, alternatives: vec![alternative(Fact::is(group), Fact::is(resource), Fact::is(part))] }
}

/// Stands for a name that is none of those named: no rule and no policy can name it by chance.
const OTHER: &str = "(other)";

fn alternative(group: Fact, resource: Fact, part: Fact) -> Alternative {
    let text = |fact: &Fact| match fact {
        Fact::Is(text) | Fact::StartsWith(text) => text.clone(),
        Fact::Absent => String::new(),
        Fact::Other | Fact::Unknown => OTHER.to_owned(),
    };
    let example = RequestTarget::Resource {
        group: text(&group),
        resource: text(&resource),
        subresource: text(&part),
        namespace: String::new(),
        name: String::new(),
    };
    Alternative { facts: resource_facts(group, resource, part), example }
}

pub(crate) fn resource_facts(group: Fact, resource: Fact, part: Fact) -> Facts {
    Facts::default()
        .with(Attribute::Group, group)
        .with(Attribute::Resource, resource)
        .with(Attribute::Subresource, part)
        .with(Attribute::Uri, Fact::StartsWith("/api".to_owned()))
}

/// A request for something that is no resource.
pub(crate) fn path() -> Facts {
    let absent = [Attribute::Group, Attribute::Resource, Attribute::Subresource, Attribute::Namespace];
    absent.into_iter().fold(Facts::default(), |facts, attribute| facts.with(attribute, Fact::Absent))
}

/// Resources that nobody named, those included that rules name without their group, or by their group alone.
fn unnamed(mentioned: &Mentioned) -> Vec<Alternative> {
    let foreign = mentioned.resources.iter().filter(|resource| !is_kubernetes(resource));
    let resources = foreign.map(|resource| (Fact::Other, Fact::is(resource)));
    let foreign = mentioned.groups.iter().filter(|group| !kubernetes().any(|(g, ..)| g == group.as_str()));
    let groups = foreign.map(|group| (Fact::is(group), Fact::Other));
    resources
        .chain(groups)
        .chain([(Fact::Other, Fact::Other)])
        .flat_map(|(group, resource)| {
            let parts = COMMON_PARTS.iter().map(|part| Fact::is(part)).chain([Fact::Absent, Fact::Other]);
            parts.map(move |part| alternative(group.clone(), resource.clone(), part))
        })
        .collect()
}
