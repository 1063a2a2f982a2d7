//! `/metrics`: Falco's names for what Falco has (specification §10), `saker_` for the rest.
//!
//! The numbers live where they arise; a scrape collects them into families of the prometheus crate.

pub(crate) mod family;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::atomic::Ordering::Relaxed,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{
    TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use saker_alert::Priority;
use saker_events::procfs::Stat;
use saker_source_k8s_audit::{Counters, LEVELS, OUTCOMES, Reason, STAGES};

use crate::{
    source::{Source, SourceState},
    status::Status,
};
use family::{Extra, Spec};

const VERSION: Spec = ("falcosecurity_falco_version_info", "Version of the agent", MetricType::GAUGE);
const KERNEL: Spec = ("falcosecurity_falco_kernel_release_info", "Release of the kernel", MetricType::GAUGE);
const HOSTNAME: Spec = ("falcosecurity_evt_hostname_info", "Name of the node in alerts", MetricType::GAUGE);
const RULES_FILES: Spec =
    ("falcosecurity_falco_sha256_rules_files_info", "Rules files in force", MetricType::GAUGE);
const ENGINE: Spec = ("falcosecurity_scap_engine_name_info", "Sources that run", MetricType::GAUGE);
const START: Spec =
    ("falcosecurity_falco_start_timestamp_nanoseconds", "Start, since the epoch", MetricType::GAUGE);
const RELOAD: Spec = (
    "falcosecurity_falco_reload_timestamp_nanoseconds",
    "Last change of rules, since the epoch",
    MetricType::GAUGE,
);
const DURATION: Spec =
    ("falcosecurity_falco_duration_seconds_total", "Time since the start", MetricType::COUNTER);
const MATCHES: Spec =
    ("falcosecurity_falco_rules_matches_total", "Alerts of each loaded rule", MetricType::COUNTER);
const SHADOW_MATCHES: Spec = (
    "saker_shadow_matches_total",
    "Matches of each loaded rule in shadow, which makes no alert",
    MetricType::COUNTER,
);
const QUEUE_DROPS: Spec = (
    "falcosecurity_falco_outputs_queue_num_drops_total",
    "Alerts dropped because a queue was full",
    MetricType::COUNTER,
);
const CPU: Spec = (
    "falcosecurity_falco_cpu_usage_ratio",
    "CPU time over time since the start, in percent",
    MetricType::GAUGE,
);
const RSS: Spec = ("falcosecurity_falco_memory_rss_bytes", "Resident memory", MetricType::GAUGE);
const VSZ: Spec = ("falcosecurity_falco_memory_vsz_bytes", "Virtual memory", MetricType::GAUGE);
const EVENTS: Spec = ("falcosecurity_scap_n_evts_total", "Syscall events read", MetricType::COUNTER);
const DROPS: Spec = ("falcosecurity_scap_n_drops_total", "Syscall events lost", MetricType::COUNTER);
const DROPS_BUFFER: Spec =
    ("falcosecurity_scap_n_drops_buffer_total", "Syscall events lost to full rings", MetricType::COUNTER);
const FILTERED: Spec = (
    "saker_probe_filtered_total",
    "Syscall events that no rule can match, left out in the kernel",
    MetricType::COUNTER,
);
const HOOK: Spec = (
    "saker_probe_hook",
    "Whether the probe listens at this place of the kernel: only where the rules need it",
    MetricType::GAUGE,
);
const SYSCALL: Spec =
    ("saker_probe_syscall", "The system calls that the probe reports to the rules", MetricType::GAUGE);
const LOADED: Spec = ("saker_rules_loaded", "Rules by state", MetricType::GAUGE);
const BUNDLE: Spec = ("saker_bundle_info", "The cluster's rules in force", MetricType::GAUGE);
const SOURCE_UP: Spec = ("saker_source_up", "Whether a wanted source runs", MetricType::GAUGE);
const SOURCE_EVENTS: Spec = ("saker_source_events_total", "Events of each source", MetricType::COUNTER);
const SOURCE_LOST: Spec =
    ("saker_source_lost_total", "Events of each source that were lost", MetricType::COUNTER);
const SENT: Spec = ("saker_output_sent_total", "Alerts taken by the output's sink", MetricType::COUNTER);
const DROPPED: Spec =
    ("saker_output_dropped_total", "Alerts dropped because the output's queue was full", MetricType::COUNTER);
const FAILED: Spec =
    ("saker_output_failed_total", "Alerts that the output's sink did not take", MetricType::COUNTER);

const AUDIT_REQUESTS: Spec =
    ("saker_audit_requests_total", "Requests to the audit endpoint by how they ended", MetricType::COUNTER);
const AUDIT_REJECTED: Spec =
    ("saker_audit_rejected_total", "Items of audit requests that are no events", MetricType::COUNTER);
const AUDIT_EVENTS: Spec = ("saker_audit_events_total", "Audit events accepted", MetricType::COUNTER);
const AUDIT_BYTES: Spec = ("saker_audit_bytes_total", "Bytes of audit requests", MetricType::COUNTER);
const AUDIT_TRUNCATED: Spec =
    ("saker_audit_truncated_total", "Audit events that the API server had shortened", MetricType::COUNTER);
const AUDIT_DUPLICATES: Spec =
    ("saker_audit_duplicates_total", "Audit events that had come before", MetricType::COUNTER);
const AUDIT_EVICTED: Spec = (
    "saker_audit_evicted_connections_total",
    "Connections that were idle or still sending, closed to make room",
    MetricType::COUNTER,
);
const AUDIT_HANDSHAKES: Spec =
    ("saker_audit_failed_handshakes_total", "TLS handshakes that failed", MetricType::COUNTER);
const AUDIT_HEADS: Spec = (
    "saker_audit_timed_out_heads_total",
    "Connections closed because a request's head did not come in time",
    MetricType::COUNTER,
);
const AUDIT_LACKING: Spec = (
    "saker_audit_lacking_events_total",
    "Audit events at a lower level than a rule about such requests needs",
    MetricType::COUNTER,
);
const AUDIT_BLIND: Spec = (
    "saker_audit_blind_rule",
    "Rules that no audit event since the start could make match; /status has the lines for the audit policy",
    MetricType::GAUGE,
);
const AUDIT_LOG_OFFSET: Spec =
    ("saker_audit_log_offset_bytes", "Bytes read of the audit log file", MetricType::GAUGE);
const AUDIT_LOG_ERRORS: Spec =
    ("saker_audit_log_errors_total", "Attempts to read the audit log file that failed", MetricType::COUNTER);
const AUDIT_LAST: Spec = (
    "saker_audit_last_event_timestamp_nanoseconds",
    "Time of the latest audit event, since the epoch",
    MetricType::GAUGE,
);

/// The families of one scrape.
#[derive(Default)]
struct Families(BTreeMap<&'static str, MetricFamily>);

/// The text of `/metrics`.
pub fn render(status: &Status, extra: Extra) -> String {
    let mut families = Families::default();
    families.identity(status);
    families.rules(status);
    families.sources(status);
    families.outputs(status);
    families.process(status);
    let state = status.processes.metrics().into_iter().chain(status.containers.metrics());
    let state =
        state.chain(status.host_names.metrics()).chain(status.links.metrics()).chain(status.living.metrics());
    for (spec, labels, value) in extra.into_iter().chain(state) {
        families.add(spec, &borrowed(&labels), float(value));
    }
    let families: Vec<_> = families.0.into_values().collect();
    TextEncoder::new().encode_to_string(&families).unwrap_or_default()
}

fn borrowed(labels: &[(String, String)]) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The counter of events that one class lost to full rings.
pub fn buffer_drops(class: &str, lost: u64) -> (Spec, Vec<(String, String)>, u64) {
    let labels = [("dir", "exit"), ("drop", class)].map(|(n, v)| (n.to_owned(), v.to_owned()));
    (DROPS_BUFFER, labels.into(), lost)
}

/// The counter of events of one class that the kernel left out.
pub fn filtered(class: &str, count: u64) -> (Spec, Vec<(String, String)>, u64) {
    (FILTERED, vec![("class".to_owned(), class.to_owned())], count)
}

/// Whether a hook is in use.
pub fn hook(name: &str, attached: bool) -> (Spec, Vec<(String, String)>, u64) {
    (HOOK, vec![("hook".to_owned(), name.to_owned())], attached.into())
}

/// That a system call is reported.
pub fn syscall(name: &str) -> (Spec, Vec<(String, String)>, u64) {
    (SYSCALL, vec![("syscall".to_owned(), name.to_owned())], 1)
}

/// The counters of the audit source.
pub fn audit(counters: &Counters) -> Extra {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut rows = Vec::new();
    for (outcome, count) in OUTCOMES.iter().zip(&counters.requests) {
        rows.push((AUDIT_REQUESTS, vec![pair("outcome", outcome)], count.load(Relaxed)));
    }
    for (reason, count) in Reason::NAMES.iter().zip(&counters.rejected) {
        rows.push((AUDIT_REJECTED, vec![pair("reason", reason)], count.load(Relaxed)));
    }
    for (level, stages) in LEVELS.iter().zip(&counters.events) {
        for (stage, count) in STAGES.iter().zip(stages) {
            let labels = vec![pair("level", level), pair("stage", stage)];
            rows.push((AUDIT_EVENTS, labels, count.load(Relaxed)));
        }
    }
    let plain = [
        (AUDIT_BYTES, &counters.bytes),
        (AUDIT_TRUNCATED, &counters.truncated),
        (AUDIT_DUPLICATES, &counters.duplicates),
        (AUDIT_EVICTED, &counters.evicted),
        (AUDIT_HANDSHAKES, &counters.handshakes_failed),
        (AUDIT_HEADS, &counters.heads_timed_out),
        (AUDIT_LOG_OFFSET, &counters.log.offset),
        (AUDIT_LOG_ERRORS, &counters.log.errors),
        (AUDIT_LAST, &counters.last_event),
    ];
    rows.extend(plain.map(|(spec, count)| (spec, Vec::new(), count.load(Relaxed))));
    rows
}

impl Families {
    fn add(&mut self, (name, help, kind): Spec, labels: &[(&str, &str)], value: f64) {
        let family = self.0.entry(name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        let mut metric = Metric::from_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        family.mut_metric().push(metric);
    }

    fn identity(&mut self, status: &Status) {
        self.add(VERSION, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        self.add(HOSTNAME, &[("hostname", &status.hostname)], 1.0);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        self.add(KERNEL, &[("kernel_release", release.trim())], 1.0);
        self.add(START, &[], nanoseconds(status.started));
        self.add(DURATION, &[], uptime(status));
    }

    fn rules(&mut self, status: &Status) {
        let rules = status.rules();
        self.add(LOADED, &[("state", "loaded")], float(rules.loaded.len()));
        self.add(LOADED, &[("state", "rejected")], float(rules.rejected.len()));
        self.add(LOADED, &[("state", "blind")], float(status.blind(&rules).len()));
        if let Some(hash) = &rules.bundle {
            self.add(BUNDLE, &[("hash", hash)], 1.0);
        }
        if let Some(since) = rules.since {
            self.add(RELOAD, &[], nanoseconds(since));
        }
        for (file, sha256) in &rules.files {
            self.add(RULES_FILES, &[("file_name", file), ("sha256", sha256)], 1.0);
        }
        for rule in rules.loaded.iter().filter(|rule| rule.shadow) {
            // Names of several namespaces' rules may be the same.
            let labels = [("file_name", &*rule.file), ("rule_name", &rule.name), ("source", &rule.source)];
            self.add(SHADOW_MATCHES, &labels, float(status.hits.matches(&rule.file, &rule.name)));
        }
        let mut tally = status.alerts.tally();
        let mut told = BTreeSet::new();
        // Rules of several namespaces may have one name.
        for rule in rules.loaded.iter().filter(|rule| told.insert(rule.name.as_str())) {
            let count = tally.remove(&rule.name).map_or(0, |t| t.count);
            self.matches(&rule.name, rule.priority, &rule.source, &rule.tags, count);
        }
        // Rules that are gone keep their count, and so do internal alerts.
        for (name, rule) in tally {
            self.matches(&name, rule.priority, &rule.source, &rule.tags, rule.count);
        }
    }

    fn matches(&mut self, rule: &str, priority: Priority, source: &str, tags: &[String], count: u64) {
        let priority = (priority as u8).to_string();
        let mut labels = BTreeMap::from([("priority", &*priority), ("rule_name", rule), ("source", source)]);
        let tags: Vec<_> = tags.iter().map(|tag| tag_label(tag)).collect();
        labels.extend(tags.iter().map(|tag| (tag.as_str(), "true")));
        self.add(MATCHES, &labels.into_iter().collect::<Vec<_>>(), float(count));
    }

    fn sources(&mut self, status: &Status) {
        self.add(AUDIT_LACKING, &[], float(status.sight.lacking()));
        for blind in status.sight.blind() {
            self.add(AUDIT_BLIND, &[("rule_name", &blind.rule)], 1.0);
        }
        self.add(EVENTS, &[], float(status.syscall.events()));
        self.add(DROPS, &[], float(status.syscall.lost()));
        for (name, source) in status.sources() {
            self.source(name, source);
        }
    }

    fn source(&mut self, name: &str, source: &Source) {
        let labels = [("source", name)];
        let running = source.state() == SourceState::Running;
        if source.state() == SourceState::Off {
            return;
        }
        if running {
            let engine = if name == "syscall" { "modern_bpf" } else { "source_plugin" };
            self.add(ENGINE, &[("engine_name", engine), ("evt_source", name)], 1.0);
        }
        self.add(SOURCE_UP, &labels, f64::from(u8::from(running)));
        self.add(SOURCE_EVENTS, &labels, float(source.events()));
        self.add(SOURCE_LOST, &labels, float(source.lost()));
    }

    fn outputs(&mut self, status: &Status) {
        let counts: Vec<_> = status.alerts.outputs().counts().collect();
        self.add(QUEUE_DROPS, &[], float(counts.iter().map(|(_, c)| c.dropped).sum::<u64>()));
        for (name, counts) in counts {
            let labels = [("output", name)];
            self.add(SENT, &labels, float(counts.sent));
            self.add(DROPPED, &labels, float(counts.dropped));
            self.add(FAILED, &labels, float(counts.failed));
        }
    }

    fn process(&mut self, status: &Status) {
        let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (key, spec) in [("VmSize:", VSZ), ("VmRSS:", RSS)] {
            let value = text.lines().find_map(|line| line.strip_prefix(key));
            if let Some(kib) = value.and_then(|v| v.trim().strip_suffix(" kB")?.parse::<u64>().ok()) {
                self.add(spec, &[], float(kib.saturating_mul(1024)));
            }
        }
        self.add(CPU, &[], 100.0 * cpu_seconds() / uptime(status).max(0.001));
    }
}

/// Unit of the times in `/proc/self/stat`, per second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// CPU time of this process in user and kernel mode: fields 14 and 15 of `/proc/self/stat`.
fn cpu_seconds() -> f64 {
    let stat = fs::read("/proc/self/stat").ok().and_then(|line| Stat::parse(&line));
    let ticks = stat.map_or(0, |stat| stat.number(14).saturating_add(stat.number(15)));
    float(ticks.cast_unsigned()) / TICKS
}

fn uptime(status: &Status) -> f64 {
    status.started.elapsed().unwrap_or_default().as_secs_f64()
}

fn nanoseconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e9
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has only floats")]
fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// A tag as the name of a label, which has a small alphabet.
fn tag_label(tag: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    format!("tag_{}", tag.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drops, status::LoadedRule, status::tests::status};

    fn scrape(change: impl Fn(&Status)) -> Vec<String> {
        let status = status();
        change(&status);
        render(&status, vec![buffer_drops("open", 3)]).lines().map(str::to_owned).collect()
    }

    fn rule(name: &str) -> LoadedRule {
        let tags = vec!["T1003.008".to_owned(), "filesystem".to_owned()];
        LoadedRule {
            name: name.to_owned(),
            priority: Priority::Warning,
            source: "syscall".to_owned(),
            tags,
            file: "a.yaml".to_owned(),
            shadow: false,
        }
    }

    #[track_caller]
    fn check(lines: &[String], expected: &[&str]) {
        for line in expected {
            assert!(lines.iter().any(|l| l == line), "no line {line} in\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn rules_are_exported_from_zero() {
        let lines = scrape(|status| {
            status.rules().loaded = vec![rule("Quiet \"one\"")];
            let report = drops::Report { lost: drops::Lost::default(), events: 0, actions: Vec::new() };
            status.alerts.send(report.alert(1, "node-1"));
        });
        check(
            &lines,
            &[
                r#"falcosecurity_falco_rules_matches_total{priority="4",rule_name="Quiet \"one\"",source="syscall",tag_T1003_008="true",tag_filesystem="true"} 0"#,
                r#"falcosecurity_falco_rules_matches_total{priority="7",rule_name="Falco internal: syscall event drop",source="internal"} 1"#,
                r#"saker_rules_loaded{state="loaded"} 1"#,
                r#"saker_rules_loaded{state="rejected"} 0"#,
            ],
        );
    }

    #[test]
    fn rules_in_shadow_are_counted_by_file() {
        let lines = scrape(|status| {
            let shadow = |file: &str| LoadedRule { file: file.to_owned(), shadow: true, ..rule("Trial") };
            status.rules().loaded =
                vec![shadow("falcorule/a/x.yaml"), shadow("falcorule/b/x.yaml"), rule("Told")];
            let file = "falcorule/b/x.yaml".into();
            status.hits.add(&file, "Trial", 5);
            status.hits.add(&file, "Trial", 6);
            status.hits.add(&"a.yaml".into(), "Told", 7);
        });
        check(
            &lines,
            &[
                r#"saker_shadow_matches_total{file_name="falcorule/a/x.yaml",rule_name="Trial",source="syscall"} 0"#,
                r#"saker_shadow_matches_total{file_name="falcorule/b/x.yaml",rule_name="Trial",source="syscall"} 2"#,
            ],
        );
        assert!(
            !lines.iter().any(|line| line.starts_with("saker_shadow") && line.contains("Told")),
            "{lines:?}"
        );
    }

    #[test]
    fn sources_and_losses_are_counted() {
        let lines = scrape(|status| {
            status.syscall.set(SourceState::Running);
            status.syscall.add_events(12);
            status.syscall.add_lost(3);
            status.k8s_audit.set(SourceState::Failed("gone".to_owned()));
        });
        check(
            &lines,
            &[
                "falcosecurity_scap_n_evts_total 12",
                "falcosecurity_scap_n_drops_total 3",
                r#"falcosecurity_scap_n_drops_buffer_total{dir="exit",drop="open"} 3"#,
                r#"falcosecurity_scap_engine_name_info{engine_name="modern_bpf",evt_source="syscall"} 1"#,
                r#"saker_source_up{source="k8s_audit"} 0"#,
                r#"saker_output_sent_total{output="file"} 0"#,
                "falcosecurity_falco_outputs_queue_num_drops_total 0",
            ],
        );
    }

    #[test]
    fn the_process_is_measured() {
        let lines = scrape(|_| ());
        let rss = lines.iter().find_map(|l| l.strip_prefix("falcosecurity_falco_memory_rss_bytes ")).unwrap();
        assert!(rss.parse::<f64>().unwrap() > 1e6, "{rss}");
        assert!(lines.iter().any(|l| l.starts_with("falcosecurity_falco_cpu_usage_ratio ")));
    }
}
