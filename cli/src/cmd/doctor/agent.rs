//! What an agent's `/healthz` and `/metrics` tell.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::Finding;
use crate::http;

/// Until an agent counts as not answering.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Until an alert counts as not raised: the rule may have to reach the agent first.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the file is written meanwhile.
const PAUSE: Duration = Duration::from_secs(1);
const MATCHES: &str = "falcosecurity_falco_rules_matches_total";

/// Health, sources, rules and outputs of the agent at this address.
pub(super) fn examine(url: &str) -> anyhow::Result<Vec<Finding>> {
    let (status, health) = get(url, "/healthz")?;
    let mut findings = vec![Finding {
        name: "agent".to_owned(),
        ok: status == 200,
        required: true,
        found: health,
        advice: "the reasons above say which source is dead; its log says more, and so does saker doctor on its machine"
            .to_owned(),
    }];
    findings.extend(work(&metrics(url)?));
    Ok(findings)
}

/// Does what the rule is about until the agent has counted one more alert of it.
pub(super) fn raise(url: &str, rule: &str, file: &Path) -> anyhow::Result<Finding> {
    let start = Instant::now();
    let count = || metrics(url).map(|text| sum(&text, MATCHES, &[("rule_name", rule)]));
    let before = count()?.unwrap_or(0.0);
    let mut raised = false;
    while !raised && start.elapsed() < PATIENCE {
        fs::write(file, "saker doctor\n").with_context(|| format!("cannot write {}", file.display()))?;
        thread::sleep(PAUSE);
        raised = count()?.is_some_and(|now| now > before);
    }
    // It may be gone already.
    let _ = fs::remove_file(file);
    let took = start.elapsed().as_secs_f64();
    Ok(Finding {
        name: "alert".to_owned(),
        ok: raised,
        required: true,
        found: format!("{rule:?} {} {took:.0} s", if raised { "raised after" } else { "not raised within" }),
        advice: "is the rule loaded, on this node, and about this file? kubectl get falcorules -A says where it runs"
            .to_owned(),
    })
}

fn metrics(url: &str) -> anyhow::Result<String> {
    let (status, text) = get(url, "/metrics")?;
    anyhow::ensure!(
        status == 200,
        "{url}/metrics answers {status}: set webserver.prometheus_metrics_enabled"
    );
    Ok(text)
}

fn get(url: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let url = format!("{}{path}", url.trim_end_matches('/'));
    // Plain HTTP must work where the system has no certificates at all.
    let authorities = url.starts_with("http://").then(Vec::new);
    let answer = http::client(authorities, TIMEOUT)?
        .get(&url)
        .send()
        .with_context(|| format!("{url} does not answer: is the agent running?"))?;
    Ok((answer.status().as_u16(), answer.text()?.trim().to_owned()))
}

/// What the numbers say about its work.
fn work(metrics: &str) -> Vec<Finding> {
    let total = |name: &str, labels: &[_]| sum(metrics, name, labels).unwrap_or(0.0);
    let up = total("saker_source_up", &[]);
    let (events, lost) = (total("saker_source_events_total", &[]), total("saker_source_lost_total", &[]));
    let rules = |state| total("saker_rules_loaded", &[("state", state)]);
    let (loaded, rejected, blind) = (rules("loaded"), rules("rejected"), rules("blind"));
    let (sent, failed) = (total("saker_output_sent_total", &[]), total("saker_output_failed_total", &[]));
    let dropped = total("saker_output_dropped_total", &[]);
    let row = |name: &str, ok, required, found, advice: &str| Finding {
        name: name.to_owned(),
        ok,
        required,
        found,
        advice: advice.to_owned(),
    };
    vec![
        row(
            "sources",
            up > 0.0,
            true,
            format!("{up} running, {events} events"),
            "no source runs: /status says why",
        ),
        row(
            "losses",
            lost == 0.0,
            false,
            format!("{lost} events"),
            "raise engine.modern_ebpf.buf_size_preset, or make the rules that read most events narrower",
        ),
        row(
            "rules",
            loaded > 0.0,
            true,
            format!("{loaded} loaded"),
            "no rules: see rules_files in its configuration",
        ),
        row("rejected", rejected == 0.0, false, format!("{rejected} rules"), "/status says which and why"),
        row(
            "blind",
            blind == 0.0,
            false,
            format!("{blind} rules"),
            "they read what no source fills here: a container runtime, audit events or addresses of names may be missing; /status says why",
        ),
        row(
            "outputs",
            failed + dropped == 0.0,
            false,
            format!("{sent} alerts sent, {failed} failed, {dropped} dropped"),
            "its log says what the sink answered",
        ),
    ]
}

/// The sum of the samples of this name that carry these labels; none if there is no such sample.
fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    let of_name = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let values = of_name.filter(|line| pairs.iter().all(|pair| line.contains(pair)));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).reduce(|a, b| a + b)
}

/// As the value of a label.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# HELP saker_rules_loaded Rules by state
falcosecurity_falco_rules_matches_total{priority="4",rule_name="Read \"x\"",source="syscall"} 3
falcosecurity_falco_rules_matches_total{priority="4",rule_name="Other",source="syscall"} 1
saker_rules_loaded{state="blind"} 0
saker_rules_loaded{state="loaded"} 40
saker_rules_loaded{state="rejected"} 1
saker_source_events_total{source="syscall"} 12
saker_source_lost_total{source="syscall"} 2
saker_source_up{source="syscall"} 1
"#;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let read = |labels: &[_]| sum(METRICS, MATCHES, labels);
        assert_eq!(read(&[("rule_name", "Read \"x\"")]), Some(3.0));
        assert_eq!(read(&[]), Some(4.0));
        assert_eq!(read(&[("rule_name", "Nobody")]), None);
        assert_eq!(sum(METRICS, "saker_rules", &[]), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |text: &str| {
            let found = work(text).into_iter().filter(|finding| !finding.ok);
            found.map(|finding| (finding.name, finding.required)).collect::<Vec<_>>()
        };
        assert_eq!(wrong(METRICS), [("losses".to_owned(), false), ("rejected".to_owned(), false)]);
        assert_eq!(wrong(""), [("sources".to_owned(), true), ("rules".to_owned(), true)]);
    }
}
