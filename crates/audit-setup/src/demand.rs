//! What a rule asks of the policy: on which requests it may match, and how much of them it reads.

use std::collections::BTreeSet;

use saker_rules::{
    ast::Expr,
    load::{Loaded, RunningRule},
};

use crate::{
    SOURCE,
    facts::{Attribute, Fact, Facts, mentioned},
    level::{level_of, may_read_managed_fields},
    policy::{Level, Stage},
    requests::{Mentioned, is_kubernetes, is_kubernetes_part},
};

/// A rule about audit events.
#[derive(Debug)]
pub struct AuditRule<'a> {
    rule: RunningRule<'a>,
    users: Vec<String>,
}

/// Who has to ask that a rule may match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Users {
    Any,
    Only(BTreeSet<String>),
}

impl<'a> AuditRule<'a> {
    /// The loaded rules about audit events that run.
    pub fn all(loaded: &'a Loaded) -> Vec<Self> {
        loaded.running(SOURCE).map(Self::new).collect()
    }

    pub(crate) fn new(rule: RunningRule<'a>) -> Self {
        let mut users = Vec::new();
        mentioned(rule.condition, Attribute::User, &mut users);
        Self { rule, users }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.rule.name
    }

    pub(crate) fn condition(&self) -> &'a Expr {
        self.rule.condition
    }

    /// The level without which its condition lacks a field.
    pub fn level_to_match(&self) -> Level {
        highest(&self.rule.reads)
    }

    /// The level that its condition and its alerts need.
    pub fn level(&self) -> Level {
        self.level_to_match().max(highest(&self.rule.shows))
    }

    /// The fields that need more than this level.
    pub fn fields_above(&self, level: Level) -> BTreeSet<&str> {
        let fields = self.rule.reads.iter().chain(&self.rule.shows);
        fields.map(String::as_str).filter(|field| level_of(field) > level).collect()
    }

    pub(crate) fn may_read_managed_fields(&self) -> bool {
        self.rule.reads.iter().chain(&self.rule.shows).any(|field| may_read_managed_fields(field))
    }

    /// Who may make the rule match where this is known; `None` if nobody.
    pub(crate) fn users(&self, facts: &Facts) -> Option<Users> {
        let with = |user: Fact| facts.clone().with(Attribute::User, user).allow(self.rule.condition);
        if with(Fact::Other) {
            return Some(Users::Any);
        }
        let users: BTreeSet<_> =
            self.users.iter().filter(|user| with(Fact::Is((*user).clone()))).cloned().collect();
        (!users.is_empty()).then_some(Users::Only(users))
    }

    /// The stages at which it may match where this is known.
    pub(crate) fn stages(&self, facts: &Facts) -> impl Iterator<Item = Stage> {
        let may = |stage: &Stage| {
            let fact = Fact::Is(stage.to_string());
            facts.clone().with(Attribute::Stage, fact).allow(self.rule.condition)
        };
        Stage::ALL.into_iter().filter(may)
    }

    /// What the policy cannot say as exactly as the rule; each a sentence for the reader of the policy.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let name = self.name();
        let groups = self.mentions(Attribute::Group);
        let foreign = self.mentions(Attribute::Resource).into_iter().filter(|r| !is_kubernetes(r));
        let foreign = foreign.filter(|_| groups.is_empty()).map(|resource| {
            format!(
                "'{name}' asks for {resource}, which is none of Kubernetes' own resources: as the policy has to \
                 name its API group, every unnamed resource is logged for it. Compare \
                 json.value[/objectRef/apiGroup] in the rule to narrow that"
            )
        });
        let parts = self.mentions(Attribute::Subresource).into_iter().filter(|part| is_kubernetes_part(part));
        let parts = parts.filter(|_| self.mentions(Attribute::Resource).is_empty()).map(|part| {
            format!(
                "'{name}' asks for {part} of any resource: here that is Kubernetes' own; add lines for other APIs \
                 that have it"
            )
        });
        foreign.chain(parts).collect()
    }

    pub(crate) fn mentions(&self, attribute: Attribute) -> BTreeSet<String> {
        let mut found = Vec::new();
        mentioned(self.rule.condition, attribute, &mut found);
        found.into_iter().collect()
    }
}

fn highest(fields: &BTreeSet<String>) -> Level {
    fields.iter().map(|field| level_of(field)).max().unwrap_or_default().max(Level::Metadata)
}

/// What all rules together mention.
pub(crate) fn mentions(rules: &[AuditRule<'_>]) -> Mentioned {
    let all = |attribute| rules.iter().flat_map(|rule| rule.mentions(attribute)).collect();
    Mentioned { groups: all(Attribute::Group), resources: all(Attribute::Resource) }
}
