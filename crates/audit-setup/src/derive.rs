//! The smallest policy that logs what the rules may match, at the level that they read.
//!
//! Every target (a resource, any other resource, any other path) and every verb make a cell. What the rules ask of a
//! cell is its [`Need`]; cells of the same need become one line.

use std::collections::BTreeSet;

use crate::{
    demand::{AuditRule, mentions},
    facts::{Attribute, Fact},
    lines::{self, Row},
    need::{Asked, Need, Verb},
    noise,
    policy::{Level, PolicyRule, Stage},
    requests::{Candidate, candidates},
};

/// A policy with the reasons for its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Stages that no rule looks at.
    pub omit_stages: Vec<Stage>,
    /// Whether no rule looks at `metadata.managedFields`.
    pub omit_managed_fields: bool,
    /// The lines; the first that matches counts.
    pub lines: Vec<Line>,
    /// What a line says less exactly than a rule.
    pub remarks: Vec<String>,
}

/// A line of a derived policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line.
    pub rule: PolicyRule,
    /// The rules that need it, in the order of definition; none for a line that leaves noise out.
    pub wanted_by: Vec<String>,
    /// The fields that need its level and no lower one.
    pub fields: BTreeSet<String>,
}

/// The policy for these rules.
pub fn derive(rules: &[AuditRule<'_>]) -> Derived {
    let asked: Vec<_> = candidates(&mentions(rules)).iter().map(|candidate| ask(candidate, rules)).collect();
    let needs = || asked.iter().flat_map(|asked| asked.needs.values());
    let stages: BTreeSet<_> = needs().flat_map(|need| need.stages.iter().copied()).collect();
    let omitted = |stage: &Stage| !stages.contains(stage);
    let mut rows = lines::rows(&asked);
    if lines::logs_everything(&rows) {
        rows.splice(0..0, noise::rows(rules));
    }
    Derived {
        omit_stages: Stage::ALL.into_iter().filter(omitted).collect(),
        omit_managed_fields: !rules.iter().any(AuditRule::may_read_managed_fields),
        lines: rows.into_iter().map(|row| line(row, &stages, rules)).collect(),
        remarks: rules.iter().flat_map(AuditRule::remarks).collect(),
    }
}

fn ask(candidate: &Candidate, rules: &[AuditRule<'_>]) -> Asked {
    let verbs = candidate.verbs().iter().copied().map(Some).chain([None]);
    let needs = verbs.map(|verb| (verb, need(candidate, verb, rules))).collect();
    Asked { target: candidate.target.clone(), needs }
}

fn need(candidate: &Candidate, verb: Verb, rules: &[AuditRule<'_>]) -> Need {
    let mut need = Need::default();
    let fact = verb.map_or(Fact::Other, Fact::is);
    for alternative in &candidate.alternatives {
        let facts = alternative.facts.clone().with(Attribute::Verb, fact.clone());
        for (position, rule) in rules.iter().enumerate() {
            if let Some(users) = rule.users(&facts) {
                need.stages.extend(rule.stages(&facts));
                need.add(position, rule.level(), users);
            }
        }
    }
    need.finish()
}

fn line(row: Row, stages: &BTreeSet<Stage>, rules: &[AuditRule<'_>]) -> Line {
    let omit = stages.difference(&row.stages).copied();
    let omit_stages = if row.rule.level == Level::None { Vec::new() } else { omit.collect() };
    let wanted: Vec<&AuditRule<'_>> =
        row.wanted_by.iter().filter_map(|position| rules.get(*position)).collect();
    let below = match row.rule.level {
        Level::RequestResponse => Level::Request,
        Level::Request => Level::Metadata,
        Level::Metadata | Level::None => Level::RequestResponse,
    };
    let fields = wanted.iter().flat_map(|rule| rule.fields_above(below)).map(str::to_owned).collect();
    let wanted_by = wanted.iter().map(|rule| rule.name().to_owned()).collect();
    Line { rule: PolicyRule { omit_stages, ..row.rule }, wanted_by, fields }
}
