//! New rules into force: read, compile, swap whole. What is broken keeps its last good form.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, SystemTime},
};

use saker_alert::Priority;
use saker_audit_setup::Demands;
use saker_crds::bundle::sha256;
use saker_engine::RulesHandle;
use saker_events::load_options;
use saker_rules::{
    bundle::Bundle,
    diagnostic::Diagnostic,
    load::{FileReport, LoadOptions, Loaded, Mode, Quarantined, SourceFile, load},
    ruleset::{Rule, RuleSet},
    schema::SourceId,
};

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    blind, bundle,
    config::Config,
    rules_source::RulesSource,
    status::{LoadedRule, RejectedRule, Status},
    wanted::Wanted,
    watch::Watch,
};

/// Why rules may have to be read again.
#[derive(Debug)]
pub enum Update {
    /// Files may have changed.
    Files,
    /// Something became of the cluster's rules; the next waits until the permit is given back.
    Cluster(bundle::Update, OwnedSemaphorePermit),
    /// A container runtime came or went.
    Runtimes,
}

/// Rules from their files to the engine.
pub struct Reloader {
    source: RulesSource,
    options: LoadOptions,
    bundle: Option<Bundle>,
    /// What was read the last time, to know a change that is none.
    seen: Vec<SourceFile>,
    /// The last content without errors, by file.
    good: BTreeMap<String, SourceFile>,
    rules: RulesHandle,
    wanted: Wanted,
}

impl Reloader {
    /// Nothing is read yet.
    pub fn new(config: &Config, source: RulesSource, bundle: Option<Bundle>, rules: RulesHandle) -> Self {
        let options = options(config);
        Self {
            source,
            options,
            bundle,
            seen: Vec::new(),
            good: BTreeMap::new(),
            rules,
            wanted: Wanted::default(),
        }
    }

    /// Reads all files and puts what is good into force. Says what is wrong, as lines for people.
    pub fn first(&mut self, status: &Status) -> Vec<String> {
        self.seen = self.source.read(self.bundle.as_ref());
        let loaded = load(&self.seen, &self.options);
        self.keep_good(&loaded);
        let problems = problems(&loaded);
        // There is no probe yet; it starts with what these rules need.
        self.swap(&loaded, status, &|_| ());
        problems
    }

    /// Puts the rules in force again after a change, or leaves the old ones. `probe` is called with what new rules
    /// need, and returns when that is reported.
    pub fn update(&mut self, update: Update, status: &Status, probe: &dyn Fn(Wanted)) {
        let of_cluster = matches!(update, Update::Cluster(..));
        let same_files = matches!(update, Update::Files);
        match update {
            Update::Cluster(bundle::Update::Bundle(bundle), _place) => self.bundle = Some(bundle),
            Update::Cluster(bundle::Update::Token(sha256), _) => return status.operator.set_token(sha256),
            Update::Cluster(bundle::Update::Refused(reason), _) => {
                return status.rules().last_error = Some(reason);
            }
            Update::Cluster(bundle::Update::NotKept(reason), _) => return status.rules().not_kept = reason,
            Update::Files | Update::Runtimes => {}
        }
        let files = self.source.read(self.bundle.as_ref());
        // A bundle may hold what runs already; then its hash is what is new.
        if files == self.seen && same_files {
            return;
        }
        self.seen = files;
        let fresh = load(&self.seen, &self.options);
        self.keep_good(&fresh);
        let problems = problems(&fresh);
        if problems.is_empty() {
            return self.swap(&fresh, status, probe);
        }
        let files: Vec<_> =
            self.seen.iter().map(|file| self.good.get(&file.name).unwrap_or(file).clone()).collect();
        let patched = load(&files, &self.options);
        // The cluster's rules were checked where they were made; a fault here is not theirs.
        if of_cluster || patched.successful() {
            self.swap(&patched, status, probe);
        }
        say_kept(&problems);
        status.rules().last_error = Some(problems.join("\n"));
    }

    fn keep_good(&mut self, loaded: &Loaded) {
        self.good.retain(|name, _| self.seen.iter().any(|file| file.name == *name));
        for file in &self.seen {
            if loaded.files.iter().any(|report| report.name == file.name && report.successful()) {
                self.good.insert(file.name.clone(), file.clone());
            }
        }
    }

    /// The status says that rules are loaded when they are evaluated and their events come, not before.
    fn swap(&mut self, loaded: &Loaded, status: &Status, probe: &dyn Fn(Wanted)) {
        for warning in loaded.files.iter().flat_map(warnings) {
            tracing::debug!("{warning}");
        }
        let Some(rules) = loaded.rules.clone() else { return };
        let info = status.rules().clone();
        let mut info = crate::status::Rules { last_error: None, ..info };
        info.bundle = self.bundle.as_ref().map(|bundle| bundle.hash.clone());
        info.loaded = loaded_rules(&rules);
        info.rejected = rejected(loaded);
        info.blind = blind::rules(loaded, &rules, status.containers.available());
        info.files =
            self.seen.iter().map(|file| (file.name.clone(), sha256(file.content.as_bytes()))).collect();
        info.since = Some(SystemTime::now());
        for (rule, reason) in &info.blind {
            tracing::warn!("rule '{rule}' is blind: {reason}");
        }
        status.sight.set(Demands::of(loaded));
        let count = (info.loaded.len(), info.loaded.len().saturating_add(info.rejected.len()));
        self.wanted = Wanted::new(loaded, &rules);
        self.rules.swap(rules);
        probe(self.wanted.clone());
        status.host_names.want(loaded);
        *status.rules() = info;
        tracing::info!("rules loaded {}/{}", count.0, count.1);
    }

    /// What the rules in force need of the probe.
    pub fn wanted(&self) -> Wanted {
        self.wanted.clone()
    }
}

fn options(config: &Config) -> LoadOptions {
    LoadOptions {
        min_priority: config.priority as u8,
        selection: config.rules.clone(),
        append_output: config.append_output.clone(),
        mode: Mode::Quarantine,
        ..load_options()
    }
}

fn loaded_rules(rules: &RuleSet) -> Vec<LoadedRule> {
    let source =
        |id: SourceId| rules.schema().sources().get(usize::from(id.0)).map_or("", |source| source.name);
    let row = |Rule { info, .. }: &Rule| LoadedRule {
        name: info.name.clone(),
        priority: priority(info.priority),
        source: source(info.source).to_owned(),
        tags: info.tags.clone(),
        file: info.file.as_ref().to_owned(),
        shadow: info.shadow,
    };
    rules.rules().iter().filter(|rule| rule.info.enabled).map(row).collect()
}

/// The priority of this number; rules have no other.
fn priority(number: u8) -> Priority {
    Priority::ALL.get(usize::from(number)).copied().unwrap_or(Priority::Debug)
}

fn rejected(loaded: &Loaded) -> Vec<RejectedRule> {
    let row = |q: &Quarantined| RejectedRule { rule: q.name.clone(), reason: reason(loaded, q) };
    loaded.quarantined.iter().map(row).collect()
}

/// `file:line:column: why`, in one line; an item that lacks another only has a file.
fn reason(loaded: &Loaded, item: &Quarantined) -> String {
    let errors = loaded.files.iter().filter(|file| file.name == item.file).flat_map(|file| &file.errors);
    let own = errors
        .into_iter()
        .find(|e| e.locations.iter().any(|at| !item.name.is_empty() && at.item_name == item.name));
    own.map_or_else(|| format!("{}: {}", item.file, item.reason), |e| place_and_message(&item.file, e))
}

/// Every error, for people.
fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.files.iter().flat_map(|file| file.errors.iter().map(|e| line(&file.name, e))).collect()
}

fn warnings(file: &FileReport) -> impl Iterator<Item = String> {
    file.warnings.iter().map(|warning| line(&file.name, warning))
}

fn place_and_message(file: &str, problem: &Diagnostic) -> String {
    let position = problem.locations.last().map(|location| &location.position);
    let place = position.map_or_else(
        || file.to_owned(),
        |at| format!("{}:{}:{}", at.name, at.line.saturating_add(1), at.column.saturating_add(1)),
    );
    format!("{place}: {}", problem.message)
}

/// `file:line:column: message`, help and the place itself.
fn line(file: &str, problem: &Diagnostic) -> String {
    let rest = [problem.help.as_str(), problem.snippet.trim_end()];
    let rest = rest.into_iter().filter(|part| !part.is_empty()).map(|part| format!("\n{part}"));
    place_and_message(file, problem) + &rest.collect::<String>()
}

fn say_kept(problems: &[String]) {
    for problem in problems {
        tracing::error!("The last good rules stay in force: {problem}");
    }
}

/// Watches files and waits for the cluster's rules, on threads of their own. `probe` is called with what new rules need,
/// and returns when that is reported.
pub fn start(
    mut reloader: Reloader,
    status: Arc<Status>,
    watch: bool,
    probe: impl Fn(Wanted) + Send + 'static,
) -> anyhow::Result<Sender<Update>> {
    let (sender, updates): (_, Receiver<Update>) = mpsc::channel();
    if watch {
        start_watch(Watch::new(reloader.source.watched())?, sender.clone())?;
    }
    thread::Builder::new().name("reload".to_owned()).spawn(move || {
        for update in updates {
            reloader.update(update, &status, &probe);
        }
    })?;
    // What changed between the first reading and the watch is seen now.
    sender.send(Update::Files)?;
    Ok(sender)
}

fn start_watch(mut watch: Watch, updates: Sender<Update>) -> std::io::Result<()> {
    let look = move || {
        loop {
            if watch.wait(Duration::from_hours(1)) && updates.send(Update::Files).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(look).map(drop)
}

/// Compiles without putting anything into force: rules that load, rules that do not, and why.
pub fn check(config: &Config, source: &RulesSource) -> (usize, usize, Vec<String>) {
    let loaded = load(&source.read(None), &options(config));
    (loaded.enabled(), loaded.quarantined.len(), problems(&loaded))
}
