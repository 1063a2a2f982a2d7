//! Step 2: which resources load, together with the default rules and all others. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use saker_rules::{
    bundle::Bundle,
    diagnostic::Diagnostic,
    load::{LoadOptions, Loaded, Mode, SourceFile, load},
};

use super::Resource;

/// Bytes of a message in a status; a snippet of a huge line is cut.
const MAX_MESSAGE: usize = 4096;

/// The rules that every node has, and how rules are compiled: the same crate as in the agents.
pub struct Compiler {
    defaults: Vec<SourceFile>,
    options: LoadOptions,
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
    /// What became of it.
    pub(super) outcome: Outcome,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the bundle.
    Accepted,
    /// `enabled: false`.
    Disabled,
    /// `expiresAt` has passed.
    Expired(Timestamp),
    /// It is not in the bundle, for this reason.
    Rejected(String),
}

/// The names of the outcomes.
pub(super) const OUTCOMES: [&str; 4] = ["accepted", "disabled", "expired", "rejected"];

impl Outcome {
    /// One of [`OUTCOMES`].
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Disabled => "disabled",
            Self::Expired(_) => "expired",
            Self::Rejected(_) => "rejected",
        }
    }
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

impl Compiler {
    /// Compiles against these rules.
    pub fn new(defaults: Vec<SourceFile>, options: LoadOptions) -> Self {
        Self { defaults, options: LoadOptions { mode: Mode::Quarantine, ..options } }
    }

    /// All that loads of these resources, behind the default rules.
    pub(super) fn load(&self, resources: Vec<Resource>, now: Timestamp) -> Loaded {
        load(&validate(resources, self, now).bundle.files, &self.options)
    }

    /// What does not load when these files follow the default rules.
    fn broken<'a>(&self, files: impl Iterator<Item = &'a SourceFile>) -> Vec<Broken> {
        let reports = load(&self.with_defaults(files), &self.options).files;
        let broken = reports.into_iter().filter(|report| !report.successful());
        broken.map(|report| Broken { reason: describe(&report.errors), file: report.name }).collect()
    }

    /// What the author of a file in a bundle that loads should know.
    pub(super) fn warnings(&self, bundle: &Bundle, file: &str) -> Vec<String> {
        let reports = load(&bundle.files, &self.options).files;
        let report = reports.into_iter().find(|report| report.name == file);
        report.iter().flat_map(|report| &report.warnings).map(sentence).collect()
    }

    fn with_defaults<'a>(&self, files: impl Iterator<Item = &'a SourceFile>) -> Vec<SourceFile> {
        let mut all = self.defaults.clone();
        all.extend(files.cloned());
        all
    }
}

/// Leaves out the resources that do not load, one by one, until the rest does.
pub(super) fn validate(resources: Vec<Resource>, compiler: &Compiler, now: Timestamp) -> Validated {
    let verdict =
        |resource: Resource| Verdict { file: resource.file(), outcome: resource.outcome(now), resource };
    let mut verdicts: Vec<_> = resources.into_iter().map(verdict).collect();
    let mut candidates = translate(&mut verdicts);
    loop {
        let guilty = guilty(compiler, &candidates);
        if guilty.is_empty() {
            break;
        }
        for (verdict, reason) in &guilty {
            verdicts[*verdict].outcome = Outcome::Rejected(reason.clone());
        }
        candidates.retain(|candidate| guilty.iter().all(|(verdict, _)| *verdict != candidate.verdict));
    }
    let files = compiler.with_defaults(candidates.iter().map(|candidate| &candidate.file));
    Validated { verdicts, bundle: Bundle::new(files) }
}

fn translate(verdicts: &mut [Verdict]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (i, verdict) in verdicts.iter_mut().enumerate().filter(|(_, v)| v.outcome == Outcome::Accepted) {
        match verdict.resource.rules_file() {
            Ok(text) => candidates.push(Candidate { verdict: i, file: SourceFile::new(&verdict.file, text) }),
            Err(reason) => verdict.outcome = Outcome::Rejected(reason),
        }
    }
    candidates
}

/// Who must go, and why. Usually those whose own file does not load; but a file that loads without the others is not
/// at fault, then it is the one that broke it.
fn guilty(compiler: &Compiler, candidates: &[Candidate]) -> Vec<(usize, String)> {
    let broken = compiler.broken(candidates.iter().map(|candidate| &candidate.file));
    if broken.is_empty() {
        return Vec::new();
    }
    let hopeless: BTreeSet<_> = compiler.broken([].into_iter()).into_iter().map(|b| b.file).collect();
    let mut guilty: Vec<(usize, String)> = Vec::new();
    for Broken { file, reason } in broken.into_iter().filter(|b| !hopeless.contains(&b.file)) {
        let found = match candidates.iter().find(|candidate| candidate.file.name == file) {
            Some(own) if !loads_alone(compiler, own) => Some((own.verdict, reason)),
            _ => culprit(compiler, candidates, &file)
                .map(|c| (c.verdict, format!("it breaks {file}: {reason}"))),
        };
        guilty.extend(found.filter(|(verdict, _)| guilty.iter().all(|(known, _)| known != verdict)));
    }
    guilty
}

fn loads_alone(compiler: &Compiler, candidate: &Candidate) -> bool {
    compiler.broken([&candidate.file].into_iter()).iter().all(|b| b.file != candidate.file.name)
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
fn sentence(said: &Diagnostic) -> String {
    let item = said.locations.iter().find(|l| !l.item_name.is_empty() && l.item_type != "file");
    let place = said.locations.last().map(|l| &l.position);
    let mut text = item.map(|l| format!("{} '{}': ", l.item_type, l.item_name)).unwrap_or_default();
    text.extend(place.map(|p| format!("line {}, column {}: ", p.line + 1, p.column + 1)));
    text + &said.message
}

/// At most `limit` bytes, whole characters.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - 4));
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleExceptionSpec, FalcoRuleSpec};
    use saker_events::schema;
    use serde::Deserialize;

    use super::*;

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
    struct Case {
        name: String,
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
        Compiler::new(vec![SourceFile::new("default.yaml", DEFAULT)], LoadOptions::new(schema()))
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
        let validated = validate(rules.chain(exceptions).collect(), &compiler(), noon);
        let shipped: Vec<_> = validated.bundle.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(shipped.first(), Some(&"default.yaml"), "{}", case.name);
        for verdict in &validated.verdicts {
            let id = format!("{}/{}", verdict.resource.namespace(), verdict.resource.name());
            let seen = format!("{}: {id}: {:?}", case.name, verdict.outcome);
            match (&case.outcome[&id], &verdict.outcome) {
                (Expected::Name(name), outcome) => assert_eq!(name, outcome.name(), "{seen}"),
                (Expected::Reason(parts), Outcome::Rejected(reason)) => {
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
        let broken = crate::default_rules::compiler().broken([].into_iter());
        assert!(broken.is_empty(), "{}: {}", broken[0].file, broken[0].reason);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(cut("äöü".to_owned(), 100), "äöü");
        assert_eq!(cut("äöüäöü".to_owned(), 9), "äö ...");
    }
}
