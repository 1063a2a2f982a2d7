//! What the events that come tell of the policy in force: which rules it leaves blind.

use std::collections::{BTreeMap, BTreeSet};

use saker_rules::{
    ast::Expr,
    load::{Loaded, RunningRule},
};

use crate::{
    SOURCE,
    demand::AuditRule,
    derive::derive,
    facts::{Attribute, Fact, Facts},
    policy::{Level, Stage},
};

/// A kind of request, as events tell of it. Texts that an event does not have are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKind {
    /// `create`.
    pub verb: String,
    /// The API group, empty for the core.
    pub group: String,
    /// `pods`; empty where no resource is asked for.
    pub resource: String,
    /// `exec`.
    pub subresource: String,
}

/// What each rule about audit events needs, apart from the rule set it came from.
#[derive(Debug, Default)]
pub struct Demands(Vec<Demand>);

#[derive(Debug)]
struct Demand {
    name: String,
    condition: Expr,
    reads: BTreeSet<String>,
    shows: BTreeSet<String>,
}

/// A rule that cannot match, since no event carries what its condition reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// The rule.
    pub rule: String,
    /// The level that it needs.
    pub needs: Level,
    /// The highest level that came of the requests it is about.
    pub came: Level,
    /// The lines of a policy that would do, as YAML.
    pub fix: String,
}

impl Demands {
    /// What the rules that run need.
    pub fn of(loaded: &Loaded) -> Self {
        let demand = |rule: RunningRule<'_>| Demand {
            name: rule.name.to_owned(),
            condition: rule.condition.clone(),
            reads: rule.reads,
            shows: rule.shows,
        };
        Self(loaded.running(SOURCE).map(demand).collect())
    }

    /// The highest level that a rule needs to match requests of this kind.
    pub fn level(&self, kind: &RequestKind) -> Level {
        let facts = kind.facts();
        let concerned = self.0.iter().filter(|demand| facts.allow(&demand.condition));
        concerned.map(|demand| demand.rule().level_to_match()).max().unwrap_or_default()
    }

    /// The rules that are about requests which came, but at too low a level each time.
    pub fn blind(&self, came: &BTreeMap<RequestKind, Level>) -> Vec<Blind> {
        let facts: Vec<_> = came.iter().map(|(kind, level)| (kind.facts(), *level)).collect();
        self.0.iter().filter_map(|demand| demand.blind(&facts)).collect()
    }
}

impl Demand {
    fn rule(&self) -> AuditRule<'_> {
        let Self { name, condition, reads, shows } = self;
        AuditRule::new(RunningRule { name, condition, reads: reads.clone(), shows: shows.clone() })
    }

    fn blind(&self, came: &[(Facts, Level)]) -> Option<Blind> {
        let concerned = came.iter().filter(|(facts, _)| facts.allow(&self.condition));
        let (rule, highest) = (self.rule(), concerned.map(|(_, level)| *level).max()?);
        (highest < rule.level_to_match()).then(|| Blind {
            rule: self.name.clone(),
            needs: rule.level_to_match(),
            came: highest,
            fix: derive(&[rule]).lines.iter().map(ToString::to_string).collect(),
        })
    }
}

impl RequestKind {
    /// What is known of a request of this kind when it is done.
    fn facts(&self) -> Facts {
        Facts::default()
            .with(Attribute::Stage, Fact::Is(Stage::ResponseComplete.to_string()))
            .with(Attribute::Verb, Fact::is(&self.verb))
            .with(Attribute::Group, Fact::is(&self.group))
            .with(Attribute::Resource, Fact::is(&self.resource))
            .with(Attribute::Subresource, Fact::is(&self.subresource))
    }
}

#[cfg(test)]
mod tests {
    use saker_events::load_options;
    use saker_rules::load::{SourceFile, load};

    use super::*;

    const RULES: &str = "
- rule: Privileged pod
  desc: d
  condition: ka.verb = create and ka.target.resource = pods and ka.req.pod.containers.privileged intersects (true)
  output: o
  priority: NOTICE
  source: k8s_audit
- rule: Any request
  desc: d
  condition: ka.verb exists
  output: o
  priority: NOTICE
  source: k8s_audit
";

    fn kind(verb: &str, resource: &str) -> RequestKind {
        RequestKind { verb: verb.to_owned(), resource: resource.to_owned(), ..RequestKind::default() }
    }

    #[test]
    fn a_rule_is_blind_when_its_requests_came_at_too_low_a_level() {
        let file = SourceFile::new("r.yaml", RULES);
        let demands = Demands::of(&load(&[file], &load_options()));
        assert_eq!(demands.level(&kind("create", "pods")), Level::Request);
        assert_eq!(demands.level(&kind("get", "pods")), Level::Metadata);
        let blind = |came: &[(RequestKind, Level)]| demands.blind(&came.iter().cloned().collect());
        assert_eq!(blind(&[]), [], "nothing is known yet");
        assert_eq!(blind(&[(kind("get", "pods"), Level::Metadata)]), [], "it is about other requests");
        assert_eq!(blind(&[(kind("create", "pods"), Level::Request)]), []);
        let found = blind(&[(kind("create", "pods"), Level::Metadata)]);
        let [Blind { rule, needs, came, fix }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((rule.as_str(), *needs, *came), ("Privileged pod", Level::Request, Level::Metadata));
        assert!(fix.contains("level: Request") && fix.contains("pods"), "{fix}");
    }
}
