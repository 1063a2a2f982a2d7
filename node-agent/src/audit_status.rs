//! Whether the audit source hears anything: what `/status` tells of it.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use saker_audit_setup::Blind;
use saker_crds::agent::ApiServer;
use saker_source_k8s_audit::{Counters, LEVELS, OUTCOMES, STAGES};
use serde::Serialize;

use crate::audit_sight::Sight;

/// Blind rules that `/status` lists; the metrics have the number.
const MAX_LISTED: usize = 100;

/// The audit source in `/status`.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    /// Time of the latest event, nanoseconds since the Unix epoch; absent before the first.
    last_event: Option<u64>,
    /// Events by level and stage; only what has come.
    events: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    truncated: u64,
    duplicates: u64,
    /// Requests by how they ended; only what has happened.
    requests: BTreeMap<&'static str, u64>,
    /// Events that came at a lower level than a rule about such requests needs.
    lacking: u64,
    /// Rules that no event since the start could make match, and the lines of the audit policy that help.
    blind: Vec<BlindReport>,
    /// Why the log file cannot be read.
    log_problem: Option<String>,
    /// The API server on this node, if one was looked for and found.
    api_server: Option<ApiServer>,
}

#[derive(Debug, Serialize)]
struct BlindReport {
    rule: String,
    reason: String,
    fix: String,
}

impl AuditReport {
    /// The counters as they are now.
    pub fn of(counters: &Counters, sight: &Sight, api_server: Option<ApiServer>) -> Self {
        let levels =
            LEVELS.iter().zip(&counters.events).map(|(level, stages)| (*level, counts(&STAGES, stages)));
        Self {
            last_event: Some(counters.last_event.load(Relaxed)).filter(|time| *time > 0),
            events: levels.filter(|(_, stages)| !stages.is_empty()).collect(),
            truncated: counters.truncated.load(Relaxed),
            duplicates: counters.duplicates.load(Relaxed),
            requests: counts(&OUTCOMES, &counters.requests),
            lacking: sight.lacking(),
            blind: sight.blind().into_iter().take(MAX_LISTED).map(BlindReport::of).collect(),
            log_problem: counters.log.problem(),
            api_server,
        }
    }
}

impl BlindReport {
    fn of(Blind { rule, needs, came, fix }: Blind) -> Self {
        let reason =
            format!("the audit policy logs the requests it is about at level {came}, it needs {needs}");
        Self { rule, reason, fix }
    }
}

fn counts(names: &[&'static str], counters: &[std::sync::atomic::AtomicU64]) -> BTreeMap<&'static str, u64> {
    let counted = names.iter().zip(counters).map(|(name, counter)| (*name, counter.load(Relaxed)));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::status;

    #[test]
    fn the_report_names_what_has_come() {
        let status = status();
        status.audit.events[1][2].store(7, Relaxed);
        status.audit.requests[0].store(2, Relaxed);
        let report = serde_json::to_value(AuditReport::of(&status.audit, &status.sight, None)).unwrap();
        let expected = serde_json::json!({
            "last_event": null, "events": {"Request": {"ResponseComplete": 7}}, "truncated": 0,
            "duplicates": 0, "requests": {"accepted": 2}, "lacking": 0, "blind": [],
            "log_problem": null, "api_server": null,
        });
        assert_eq!(report, expected);
    }
}
