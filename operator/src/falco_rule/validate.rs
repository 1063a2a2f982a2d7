//! Step 2: which resources load, together with the default rules and all others. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use saker_crds::Scope;
use saker_rules::{
    binding::Binding,
    bundle::Bundle,
    diagnostic::Diagnostic,
    load::{LoadOptions, Loaded, Mode, SourceFile, load},
};

use super::Resource;
use crate::{rollout::cut, tenancy::Tenancy};

/// Bytes of a message in a status; a snippet of a huge line is cut.
const MAX_MESSAGE: usize = 4096;

/// The rules that every node has, and how rules are compiled: the same crate as in the agents.
pub struct Compiler {
    defaults: Vec<SourceFile>,
    options: LoadOptions,
    tenancy: Tenancy,
}

/// Every resource with what became of it, and the bundle of those that load.
#[derive(Debug)]
pub(super) struct Validated {
    /// In the order of loading.
    pub(super) verdicts: Vec<Verdict>,
    /// The rules files that travel.
    pub(super) bundle: Bundle,
}

/// What became of one resource.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The resource.
    pub(super) resource: Resource,
    /// Name of its file in the bundle.
    pub(super) file: String,
    /// Whose events its rules see.
    pub(super) scope: Scope,
    /// What sets its rules apart.
    pub(super) binding: Option<Binding>,
    /// What its rules are, if they load.
    pub(super) rules: Summary,
    /// What became of it.
    pub(super) outcome: Outcome,
}

/// The rules of one file at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Where their events come from.
    pub(super) sources: BTreeSet<String>,
    /// The most urgent priority, as rules files write it, behind its number.
    pub(super) priority: Option<(u8, &'static str)>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the bundle.
    Accepted,
    /// `mode: Off`.
    Off,
    /// `expiresAt` has passed.
    Expired(Timestamp),
    /// It cannot be what it says, or where it is; its rules were not looked at.
    Invalid(String),
    /// Its rules do not compile, for this reason.
    Rejected(String),
}

/// The names of the outcomes.
pub(super) const OUTCOMES: [&str; 4] = ["accepted", "off", "expired", "rejected"];

impl Outcome {
    /// One of [`OUTCOMES`].
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Off => "off",
            Self::Expired(_) => "expired",
            Self::Invalid(_) | Self::Rejected(_) => "rejected",
        }
    }
}

/// What the compiler said.
pub(super) struct Trial {
    /// In the order of loading.
    pub(super) verdicts: Vec<Verdict>,
    /// Those that load.
    candidates: Vec<Candidate>,
    /// What they compile to.
    pub(super) loaded: Loaded,
}

/// A resource on trial: its place among the verdicts and its file.
struct Candidate {
    verdict: usize,
    file: SourceFile,
}

/// A rules file that does not load, and the first reason.
struct Broken {
    file: String,
    reason: String,
}

/// A resource that must go.
struct Guilty {
    verdict: usize,
    reason: String,
    /// It does not load itself; otherwise others do not load with it.
    own: bool,
}

impl Compiler {
    /// Compiles against these rules.
    pub fn new(defaults: Vec<SourceFile>, options: LoadOptions, tenancy: Tenancy) -> Self {
        Self { defaults, options: LoadOptions { mode: Mode::Quarantine, ..options }, tenancy }
    }

    /// Who may speak for the fleet.
    pub fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    /// Compiles the default rules and these files behind them.
    fn load<'a>(&self, files: impl Iterator<Item = &'a SourceFile>) -> Loaded {
        load(&self.with_defaults(files), &self.options)
    }

    /// All that loads of these resources, behind the default rules.
    pub(super) fn loaded(&self, resources: Vec<Resource>, now: Timestamp) -> Loaded {
        load(&validate(resources, self, now).bundle.files, &self.options)
    }

    /// What does not load when these files follow the default rules.
    fn broken<'a>(&self, files: impl Iterator<Item = &'a SourceFile>) -> Vec<Broken> {
        broken(&self.load(files))
    }

    fn with_defaults<'a>(&self, files: impl Iterator<Item = &'a SourceFile>) -> Vec<SourceFile> {
        let mut all = self.defaults.clone();
        all.extend(files.cloned());
        all
    }
}

fn broken(loaded: &Loaded) -> Vec<Broken> {
    let broken = loaded.files.iter().filter(|report| !report.successful());
    broken.map(|report| Broken { reason: describe(&report.errors), file: report.name.clone() }).collect()
}

/// The resources, judged; and all that loads of them.
pub(super) fn validate(resources: Vec<Resource>, compiler: &Compiler, now: Timestamp) -> Validated {
    let Trial { mut verdicts, candidates, loaded } = trial(resources, compiler, now, |_| false);
    let mut summaries = summaries(&loaded);
    for verdict in &mut verdicts {
        verdict.rules = summaries.remove(verdict.file.as_str()).unwrap_or_default();
    }
    let files = compiler.with_defaults(candidates.iter().map(|candidate| &candidate.file));
    Validated { verdicts, bundle: Bundle::new(files) }
}

/// Leaves out the resources that do not load, one by one, until the rest does, or until one of them is enough to know.
pub(super) fn trial(
    resources: Vec<Resource>,
    compiler: &Compiler,
    now: Timestamp,
    enough: impl Fn(&Resource) -> bool,
) -> Trial {
    let mut verdicts: Vec<_> = resources.into_iter().map(|r| verdict(r, compiler, now)).collect();
    let mut candidates = translate(&mut verdicts, &compiler.tenancy);
    // What uses a list of theirs must not take its name for a value.
    let mut left_out = Vec::new();
    loop {
        let loaded = compiler.load(candidates.iter().map(|c| &c.file).chain(&left_out));
        let guilty = guilty(compiler, &candidates, &left_out, broken(&loaded));
        for Guilty { verdict, reason, .. } in &guilty {
            verdicts[*verdict].outcome = Outcome::Rejected(reason.clone());
        }
        let (gone, kept) =
            candidates.into_iter().partition(|c| guilty.iter().any(|g| g.verdict == c.verdict));
        candidates = kept;
        if guilty.is_empty() || guilty.iter().any(|g| enough(&verdicts[g.verdict].resource)) {
            return Trial { verdicts, candidates, loaded };
        }
        let own =
            gone.into_iter().filter(|c: &Candidate| guilty.iter().any(|g| g.own && g.verdict == c.verdict));
        left_out
            .extend(own.map(|c| SourceFile { unreadable: Some("it does not load".to_owned()), ..c.file }));
    }
}

fn verdict(resource: Resource, compiler: &Compiler, now: Timestamp) -> Verdict {
    Verdict {
        file: resource.file(),
        scope: resource.scope(&compiler.tenancy),
        binding: None,
        rules: Summary::default(),
        outcome: resource.outcome(now),
        resource,
    }
}

/// The rules files of those that count, each with what sets it apart.
fn translate(verdicts: &mut [Verdict], tenancy: &Tenancy) -> Vec<Candidate> {
    let owners = owners(verdicts);
    let mut candidates = Vec::new();
    for (i, verdict) in verdicts.iter_mut().enumerate().filter(|(_, v)| v.outcome == Outcome::Accepted) {
        let Verdict { resource, file, scope, .. } = verdict;
        let file = resource.binding(*scope, tenancy, &owners).and_then(|binding| {
            Ok(SourceFile { binding, ..SourceFile::new(file.as_str(), resource.rules_file()?) })
        });
        match file {
            Ok(file) => {
                verdict.binding.clone_from(&file.binding);
                candidates.push(Candidate { verdict: i, file });
            }
            Err(reason) => verdict.outcome = Outcome::Invalid(reason),
        }
    }
    candidates
}

/// The namespaces that have rules of their own.
fn owners(verdicts: &[Verdict]) -> BTreeSet<String> {
    let rules = verdicts.iter().filter(|v| v.scope == Scope::Namespace && v.resource.defines_rules());
    rules.map(|verdict| verdict.resource.namespace().to_owned()).collect()
}

fn summaries(loaded: &Loaded) -> BTreeMap<&str, Summary> {
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    for rule in loaded.defined() {
        let summary = summaries.entry(rule.file).or_default();
        summary.sources.insert(rule.source.to_owned());
        let priority = (rule.priority as u8, rule.priority.name());
        summary.priority = Some(summary.priority.map_or(priority, |known| known.min(priority)));
    }
    summaries
}

/// Who must go, and why. Usually those whose own file does not load; but a file that loads without the others is not
/// at fault, then it is the one that broke it. One with a binding stands for itself: it never takes another one down.
fn guilty(
    compiler: &Compiler,
    candidates: &[Candidate],
    left_out: &[SourceFile],
    broken: Vec<Broken>,
) -> Vec<Guilty> {
    if broken.is_empty() {
        return Vec::new();
    }
    let hopeless: BTreeSet<_> = compiler.broken(left_out.iter()).into_iter().map(|b| b.file).collect();
    let mut guilty: Vec<Guilty> = Vec::new();
    for Broken { file, reason } in broken.into_iter().filter(|b| !hopeless.contains(&b.file)) {
        let found = match candidates.iter().find(|candidate| candidate.file.name == file) {
            Some(own) if own.file.binding.is_some() || !loads_alone(compiler, own, left_out) => {
                Some(Guilty { verdict: own.verdict, reason, own: true })
            }
            _ => culprit(compiler, candidates, &file).map(|c| Guilty {
                verdict: c.verdict,
                reason: format!("it breaks {file}: {reason}"),
                own: false,
            }),
        };
        guilty.extend(found.filter(|found| guilty.iter().all(|known| known.verdict != found.verdict)));
    }
    guilty
}

fn loads_alone(compiler: &Compiler, candidate: &Candidate, left_out: &[SourceFile]) -> bool {
    let broken = compiler.broken([&candidate.file].into_iter().chain(left_out));
    broken.iter().all(|b| b.file != candidate.file.name)
}

/// The first resource in the order of loading with which `file` no longer loads, by bisection.
fn culprit<'a>(compiler: &Compiler, candidates: &'a [Candidate], file: &str) -> Option<&'a Candidate> {
    let breaks = |count: usize| {
        let tried = candidates.iter().enumerate().filter(|(i, c)| *i < count || c.file.name == file);
        compiler.broken(tried.map(|(_, c)| &c.file)).iter().any(|b| b.file == file)
    };
    let (mut sound, mut unsound) = (0, candidates.len());
    while unsound - sound > 1 {
        let middle = usize::midpoint(sound, unsound);
        if breaks(middle) { unsound = middle } else { sound = middle }
    }
    candidates.get(sound)
}

/// The first error for people: where, what, what to do; and how many more there are.
fn describe(errors: &[Diagnostic]) -> String {
    let Some(first) = errors.first() else { return String::new() };
    let mut text = sentence(first);
    for more in [&first.help, &first.snippet].into_iter().filter(|more| !more.is_empty()) {
        text.push('\n');
        text.push_str(more.trim_end());
    }
    if errors.len() > 1 {
        text.extend(["\n(and ".to_owned(), (errors.len() - 1).to_string(), " more)".to_owned()]);
    }
    cut(text, MAX_MESSAGE)
}

/// What is said, behind the item and the place it is about.
pub(super) fn sentence(said: &Diagnostic) -> String {
    let item = said.locations.iter().find(|l| !l.item_name.is_empty() && l.item_type != "file");
    let place = said.locations.last().map(|l| &l.position);
    let mut text = item.map(|l| format!("{} '{}': ", l.item_type, l.item_name)).unwrap_or_default();
    text.extend(place.map(|p| format!("line {}, column {}: ", p.line + 1, p.column + 1)));
    text + &said.message
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleExceptionSpec, FalcoRuleSpec};
    use saker_events::schema;
    use serde::Deserialize;

    use super::*;
    use crate::falco_rule::dereference::in_order;

    const DEFAULT: &str = "
- list: default_files
  items: [/etc/passwd]
- rule: Default
  desc: d
  condition: evt.type = open and fd.name in (default_files)
  output: o
  priority: DEBUG
";

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        /// The namespaces that may use scope Cluster; all if there are none.
        #[serde(default)]
        fleet: Vec<String>,
        rules: BTreeMap<String, FalcoRuleSpec>,
        #[serde(default)]
        exceptions: BTreeMap<String, FalcoRuleExceptionSpec>,
        outcome: BTreeMap<String, Expected>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Expected {
        Name(String),
        Reason(Vec<String>),
    }

    pub(in super::super) fn compiler() -> Compiler {
        confined(Vec::new())
    }

    pub(in super::super) fn confined(fleet: Vec<String>) -> Compiler {
        let defaults = vec![SourceFile::new("default.yaml", DEFAULT)];
        Compiler::new(defaults, LoadOptions::new(schema()), Tenancy::new(fleet))
    }

    pub(in super::super) fn rule(id: &str, spec: FalcoRuleSpec) -> FalcoRule {
        let (namespace, name) = id.split_once('/').unwrap();
        let mut rule = FalcoRule::new(name, spec);
        rule.metadata.namespace = Some(namespace.to_owned());
        rule.metadata.uid = Some(format!("uid-{id}"));
        rule.metadata.generation = Some(1);
        rule
    }

    pub(in super::super) fn exception(id: &str, spec: FalcoRuleExceptionSpec) -> FalcoRuleException {
        let (namespace, name) = id.split_once('/').unwrap();
        let mut exception = FalcoRuleException::new(name, spec);
        exception.metadata.namespace = Some(namespace.to_owned());
        exception
    }

    fn check(case: Case) {
        let rules = case.rules.into_iter().map(|(id, spec)| Resource::Rule(Arc::new(rule(&id, spec))));
        let exceptions = case.exceptions.into_iter();
        let exceptions = exceptions.map(|(id, spec)| Resource::Exception(Arc::new(exception(&id, spec))));
        let noon = "2026-01-01T12:00:00Z".parse().unwrap();
        let compiler = confined(case.fleet);
        let resources = in_order(rules.chain(exceptions).collect(), &compiler.tenancy);
        let validated = validate(resources, &compiler, noon);
        let shipped: Vec<_> = validated.bundle.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(shipped.first(), Some(&"default.yaml"), "{}", case.name);
        for verdict in &validated.verdicts {
            let id = format!("{}/{}", verdict.resource.namespace(), verdict.resource.name());
            let seen = format!("{}: {id}: {:?}", case.name, verdict.outcome);
            match (&case.outcome[&id], &verdict.outcome) {
                (Expected::Name(name), outcome) => assert_eq!(name, outcome.name(), "{seen}"),
                (Expected::Reason(parts), Outcome::Rejected(reason) | Outcome::Invalid(reason)) => {
                    assert!(parts.iter().all(|part| reason.contains(part)), "{seen}");
                }
                (Expected::Reason(_), _) => panic!("{seen}"),
            }
            let accepted = verdict.outcome == Outcome::Accepted;
            assert_eq!(shipped.contains(&verdict.file.as_str()), accepted, "{seen}");
        }
    }

    #[test]
    fn falcorules_are_accepted_or_left_out_alone() {
        let cases: Vec<Case> =
            serde_saphyr::from_str(include_str!("../../tests/cases/validate.yaml")).unwrap();
        assert!(!cases.is_empty());
        cases.into_iter().for_each(check);
    }

    #[test]
    fn the_rules_that_are_shipped_load() {
        let broken = crate::default_rules::compiler(Tenancy::default()).broken([].into_iter());
        assert!(broken.is_empty(), "{}: {}", broken[0].file, broken[0].reason);
    }
}
