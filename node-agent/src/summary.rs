//! What a run came to, told at its end.

use std::{collections::BTreeMap, fmt::Write as _};

use saker_outputs::Counts;

use crate::status::Status;

/// The summary, in Falco's words where it has them (specification §9).
pub fn summary(status: &Status, outputs: &[(&'static str, Counts)]) -> String {
    let tally = status.alerts.tally();
    let mut text = String::new();
    for (name, source) in status.sources() {
        let (events, lost) = (source.events(), source.lost());
        line(&mut text, &format!("Events seen from {name}: {events}, lost: {lost}"));
    }
    let (filtered, faults) = (status.syscall.filtered(), status.syscall.filter_faults());
    line(&mut text, &format!("Events filtered in the kernel: {filtered}, alerts that cost: {faults}"));
    line(&mut text, &format!("Events detected: {}", tally.values().map(|t| t.count).sum::<u64>()));
    let mut severities: BTreeMap<_, u64> = BTreeMap::new();
    for rule in tally.values() {
        let sum = severities.entry(rule.priority).or_default();
        *sum = sum.saturating_add(rule.count);
    }
    line(&mut text, "Rule counts by severity:");
    for (priority, count) in severities {
        line(&mut text, &format!("   {}: {count}", priority.name().to_uppercase()));
    }
    line(&mut text, "Triggered rules by rule name:");
    for (rule, tally) in &tally {
        line(&mut text, &format!("   {rule}: {}", tally.count));
    }
    for (name, counts) in outputs.iter().filter(|(_, c)| c.dropped > 0 || c.failed > 0) {
        let Counts { sent, failed, dropped } = counts;
        line(&mut text, &format!("Alerts to {name}: {sent} sent, {failed} failed, {dropped} dropped"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drops, status::tests::status};

    #[test]
    fn the_summary_tells_all_sums() {
        let status = status();
        status.syscall.add_events(120);
        status.syscall.add_lost(3);
        status.syscall.set_filtered(70);
        let report = drops::Report { lost: drops::Lost::default(), events: 0, actions: Vec::new() };
        for _ in 0..2 {
            status.alerts.send(report.alert(1, "node-1"));
        }
        let outputs = [("stdout", Counts::default()), ("http", Counts { sent: 1, failed: 2, dropped: 3 })];
        let expected = "Events seen from syscall: 120, lost: 3
Events seen from k8s_audit: 0, lost: 0
Events filtered in the kernel: 70, alerts that cost: 0
Events detected: 2
Rule counts by severity:
   DEBUG: 2
Triggered rules by rule name:
   Falco internal: syscall event drop: 2
Alerts to http: 1 sent, 2 failed, 3 dropped
";
        assert_eq!(summary(&status, &outputs), expected);
    }
}
