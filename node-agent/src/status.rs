//! What the agent is doing: one value that `/status`, `/metrics`, `/healthz` and the summary read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use saker_alert::Priority;
use saker_crds::agent::ApiServer;
use saker_engine::{Count, Hits};
use saker_outputs::Counts;
use saker_source_k8s_audit::Counters;
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    alerts::Alerts,
    audit_sight::Sight,
    audit_status::AuditReport,
    containers, host_names,
    links::{self, ProcLinks},
    living::{self, ProcFs},
    operator::Operator,
    processes,
    source::{Source, SourceReport, SourceState},
};

/// Rejected rules that `/status` lists, and blind ones; the number is always the full one.
const MAX_LISTED: usize = 100;
/// Files whose matches `/status` tells, of those in force.
const MAX_FILES: usize = 10_000;

/// Shared by everything in the agent.
pub struct Status {
    /// Name of this node in alerts.
    pub hostname: String,
    /// When the agent started.
    pub started: SystemTime,
    /// The way out for alerts.
    pub alerts: Alerts,
    /// The syscall source.
    pub syscall: Source,
    /// The audit source.
    pub k8s_audit: Source,
    /// What the audit source counts.
    pub audit: Arc<Counters>,
    /// What is known of processes.
    pub processes: processes::State,
    /// What is known of containers.
    pub containers: containers::State,
    /// What is known of the names that rules compare with.
    pub host_names: host_names::State,
    /// Where paths lead.
    pub links: Arc<ProcLinks>,
    /// Asks about processes that live.
    pub living: Arc<ProcFs>,
    /// How often rules matched.
    pub hits: Arc<Hits>,
    /// Who may read all this from elsewhere.
    pub operator: Operator,
    /// What its events let the rules see.
    pub sight: Sight,
    /// The API server on this node.
    api_server: Mutex<Option<ApiServer>>,
    rules: Mutex<Rules>,
    /// Why the agent must end.
    end: watch::Sender<Option<String>>,
}

/// The rules in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// SHA-256 of the cluster's rules, if they are in force.
    pub bundle: Option<String>,
    /// Every rule that is evaluated.
    pub loaded: Vec<LoadedRule>,
    /// Rules that could not be compiled.
    pub rejected: Vec<RejectedRule>,
    /// Rules that are loaded and can never match, with the reason; see [`Status::blind`].
    pub blind: Vec<(String, String)>,
    /// SHA-256 of each file.
    pub files: Vec<(String, String)>,
    /// Why the last change was not taken over; empty if it was.
    pub last_error: Option<String>,
    /// Why the cluster's rules are not on disk for a start without the API; empty if they are.
    pub not_kept: Option<String>,
    /// When the rules in force came into force.
    pub since: Option<SystemTime>,
}

/// A rule that is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRule {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: Priority,
    /// Its source.
    pub source: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The file that defines it.
    pub file: String,
    /// Whether it is only counted.
    pub shadow: bool,
}

/// A rule that could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRule {
    /// Its name, or empty for a whole file.
    pub rule: String,
    /// Why, with file, line and column.
    pub reason: String,
}

/// The answer of `/status`; the operator reads it.
#[derive(Debug, Serialize)]
pub struct Report {
    version: &'static str,
    hostname: String,
    started: u64,
    bundle: Option<String>,
    rules: RulesReport,
    sources: BTreeMap<&'static str, SourceReport>,
    k8s_audit: AuditReport,
    processes: processes::Report,
    containers: containers::Report,
    host_names: host_names::Report,
    paths: links::Report,
    process_lookups: living::Report,
    outputs: BTreeMap<&'static str, OutputReport>,
    alerts: u64,
    hits: BTreeMap<String, HitsReport>,
}

/// Matches of a file's rules, those in shadow too.
#[derive(Debug, Serialize)]
struct HitsReport {
    matches: u64,
    /// Time of the last event that matched, nanoseconds since the Unix epoch.
    last: u64,
}

#[derive(Debug, Serialize)]
struct RulesReport {
    loaded: usize,
    rejected: usize,
    blind: usize,
    reasons: Vec<RejectedRule>,
    blind_reasons: Vec<BlindRule>,
    last_error: Option<String>,
    not_kept: Option<String>,
}

#[derive(Debug, Serialize)]
struct BlindRule {
    rule: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct OutputReport {
    sent: u64,
    dropped: u64,
    failed: u64,
}

impl Status {
    /// Nothing has happened yet.
    pub fn new(hostname: String, alerts: Alerts) -> Self {
        let started = SystemTime::now();
        let (syscall, k8s_audit) = (Source::default(), Source::default());
        Self {
            hostname,
            started,
            alerts,
            syscall,
            k8s_audit,
            audit: Arc::default(),
            processes: processes::State::default(),
            containers: containers::State::default(),
            host_names: host_names::State::default(),
            links: Arc::default(),
            living: Arc::default(),
            hits: Arc::default(),
            operator: Operator::default(),
            sight: Sight::default(),
            api_server: Mutex::default(),
            rules: Mutex::default(),
            end: watch::Sender::default(),
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    /// Rules that are in force and cannot match, or not in all cases, with the reason.
    pub fn blind(&self, rules: &Rules) -> Vec<(String, String)> {
        rules.blind.iter().cloned().chain(self.host_names.blind()).collect()
    }

    /// The API server on this node, as it was last found.
    pub fn api_server(&self) -> MutexGuard<'_, Option<ApiServer>> {
        lock(&self.api_server)
    }

    /// Every source with its name.
    pub const fn sources(&self) -> [(&'static str, &Source); 2] {
        [("syscall", &self.syscall), ("k8s_audit", &self.k8s_audit)]
    }

    /// Why the agent is not well, or nothing.
    pub fn unhealthy(&self) -> Vec<String> {
        let failed = |(name, source): (&str, &Source)| match source.state() {
            SourceState::Failed(reason) => Some(format!("source {name} is dead: {reason}")),
            _ => None,
        };
        self.sources().into_iter().filter_map(failed).collect()
    }

    /// Ends the agent for this reason.
    pub fn end(&self, reason: &str) {
        self.end.send_replace(Some(reason.to_owned()));
    }

    /// Waits for [`Self::end`].
    pub async fn ended(&self) {
        // An error would say that the sender is gone, and it is ours.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// The reason given to [`Self::end`].
    pub fn end_reason(&self) -> Option<String> {
        self.end.borrow().clone()
    }

    /// As long as the answer lives, a panic of this thread is the death of a source.
    pub fn watch_thread(self: &Arc<Self>, source: fn(&Self) -> &Source) -> ThreadWatch {
        ThreadWatch { status: Arc::clone(self), source }
    }

    /// The answer of `/status`.
    pub fn report(&self) -> Report {
        let rules = self.rules();
        let blind = self.blind(&rules);
        let blind_reasons = blind.iter().cloned().map(|(rule, reason)| BlindRule { rule, reason });
        let source = |(name, source): (_, &Source)| (name, source.report());
        let output =
            |(name, Counts { sent, failed, dropped })| (name, OutputReport { sent, dropped, failed });
        Report {
            version: env!("CARGO_PKG_VERSION"),
            hostname: self.hostname.clone(),
            started: self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            bundle: rules.bundle.clone(),
            rules: RulesReport {
                loaded: rules.loaded.len(),
                rejected: rules.rejected.len(),
                blind: blind.len(),
                reasons: rules.rejected.iter().take(MAX_LISTED).cloned().collect(),
                blind_reasons: blind_reasons.take(MAX_LISTED).collect(),
                last_error: rules.last_error.clone(),
                not_kept: rules.not_kept.clone(),
            },
            k8s_audit: AuditReport::of(&self.audit, &self.sight, self.api_server().clone()),
            sources: self.sources().into_iter().map(source).collect(),
            processes: self.processes.report(),
            containers: self.containers.report(),
            host_names: self.host_names.report(),
            paths: self.links.report(),
            process_lookups: self.living.report(),
            outputs: self.alerts.outputs().counts().map(output).collect(),
            alerts: self.alerts.tally().values().map(|t| t.count).sum(),
            hits: self.hits_of(&rules),
        }
    }
}

impl Status {
    fn hits_of(&self, rules: &Rules) -> BTreeMap<String, HitsReport> {
        let in_force: BTreeSet<_> = rules.files.iter().map(|(file, _)| file.as_str()).collect();
        let files =
            self.hits.files().into_iter().filter(|(file, _)| in_force.contains(&**file)).take(MAX_FILES);
        let row = |(file, count): (Arc<str>, Count)| {
            (file.as_ref().to_owned(), HitsReport { matches: count.matches, last: count.last })
        };
        files.map(row).collect()
    }
}

/// See [`Status::watch_thread`].
pub struct ThreadWatch {
    status: Arc<Status>,
    source: fn(&Status) -> &Source,
}

impl Drop for ThreadWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            let reason = "its thread ended by a fault of the program; the log has the place";
            (self.source)(&self.status).set(SourceState::Failed(reason.to_owned()));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use saker_alert::{Format, Renderer};
    use saker_outputs::{Outputs, file};

    use super::*;

    /// A status whose alerts go nowhere.
    pub(crate) fn status() -> Status {
        let null = file::Config { enabled: true, filename: "/dev/null".into(), ..file::Config::default() };
        let outputs = Outputs::start(&[&null], &Renderer::new(Format::default()), 10).unwrap();
        Status::new("node-1".to_owned(), Alerts::new(outputs))
    }

    #[test]
    fn a_dead_source_is_no_health() {
        let status = status();
        assert!(status.unhealthy().is_empty());
        status.syscall.set(SourceState::Running);
        assert!(status.unhealthy().is_empty());
        status.syscall.set(SourceState::Failed("the ring is gone".to_owned()));
        assert_eq!(status.unhealthy(), ["source syscall is dead: the ring is gone"]);
    }

    #[test]
    fn a_thread_that_panics_is_a_dead_source() {
        let status = Arc::new(status());
        for (panics, dead) in [(false, 0), (true, 1)] {
            let watched = Arc::clone(&status);
            let thread = thread::spawn(move || {
                let _watch = watched.watch_thread(|status| &status.syscall);
                assert!(!panics, "as the test wants it");
            });
            assert_eq!(thread.join().is_err(), panics);
            assert_eq!(status.unhealthy().len(), dead);
        }
    }

    #[test]
    fn matches_are_told_by_file_as_long_as_it_is_in_force() {
        let status = status();
        status.rules().files = vec![("falcorule/a/x.yaml".to_owned(), String::new())];
        for (file, rule, time) in
            [("falcorule/a/x.yaml", "r", 5), ("falcorule/a/x.yaml", "q", 3), ("gone.yaml", "r", 9)]
        {
            status.hits.add(&Arc::from(file), rule, time);
        }
        let report = serde_json::to_value(status.report()).unwrap();
        assert_eq!(report["hits"], serde_json::json!({"falcorule/a/x.yaml": {"matches": 2, "last": 5}}));
        let read: saker_crds::agent::AgentStatus = serde_json::from_value(report).unwrap();
        assert!(read.started > 0 && read.hits["falcorule/a/x.yaml"].matches == 2, "{read:?}");
    }

    #[test]
    fn the_report_is_what_the_operator_reads() {
        let status = status();
        status.k8s_audit.set(SourceState::Running);
        status.k8s_audit.add_events(2);
        let reason = RejectedRule { rule: "Bad".to_owned(), reason: "a.yaml:1:2: no".to_owned() };
        status.rules().rejected = vec![reason; MAX_LISTED + 1];
        let report = serde_json::to_value(status.report()).unwrap();
        let expected = serde_json::json!({"state": "running", "events": 2, "lost": 0});
        assert_eq!(report["sources"]["k8s_audit"], expected);
        assert_eq!(report["rules"]["rejected"], MAX_LISTED + 1);
        assert_eq!(report["rules"]["reasons"].as_array().unwrap().len(), MAX_LISTED);
    }
}
