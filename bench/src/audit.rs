//! The audit endpoint: events per second of processor time, and how long batches wait for their answer.

#![allow(clippy::print_stdout, reason = "the table is this program's output")]

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    agent::Agent,
    report::{as_f64, row},
};

/// Events of a batch, as API servers send at most.
const BATCH: usize = 400;
/// Batches sent as fast as they are answered.
const BURST: usize = 200;
/// Batches a second that an API server sends at most, and for how long.
const RATE: u32 = 10;
const SUSTAINED: u32 = 20;

/// Measures the agent at `binary` with upstream's 48 audit rules, or with the default ones without fixtures.
pub fn print(binary: &Path) -> Result<()> {
    let fixtures = env::var("SAKER_FIXTURES").unwrap_or_default();
    let upstream = Path::new(&fixtures).join("rules/k8s_audit_rules.yaml");
    let rules = upstream.exists().then(|| upstream.display().to_string());
    println!("| figure | median | min | max |\n|---|---|---|---|");
    let (agent, address) = Agent::start_audit(binary, &rules.unwrap_or_else(|| "built-in".to_owned()))?;
    let mut sender = Sender::new(&address)?;
    sender.post(0)?;
    burst(&agent, &mut sender)?;
    sustained(&mut sender)?;
    let (all, _) = agent.memory()?;
    row("audit: resident memory, KiB", [as_f64(all)]);
    Ok(())
}

fn burst(agent: &Agent, sender: &mut Sender) -> Result<()> {
    let (cpu, start) = (agent.cpu()?, Instant::now());
    for batch in 1..=BURST {
        sender.post(batch)?;
    }
    let events = f64::from(u32::try_from(BURST * BATCH)?);
    let cpu = agent.cpu()?.saturating_sub(cpu);
    row("audit: events of 2 KiB a second", [events / start.elapsed().as_secs_f64()]);
    row("audit: events a second of processor time", [events / cpu.as_secs_f64()]);
    Ok(())
}

fn sustained(sender: &mut Sender) -> Result<()> {
    let start = Instant::now();
    let mut waits = Vec::new();
    for batch in 0..RATE * SUSTAINED {
        let due = start + Duration::from_secs(1) / RATE * batch;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        sender.post(BURST + 1 + usize::try_from(batch)?)?;
        // Also what a late batch waited before it could be sent.
        waits.push(due.elapsed().as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);
    row("audit: answer to a batch at 4000 events/s, ms", waits.iter().copied());
    row("audit: answer p99, ms", waits.get(waits.len() * 99 / 100).copied());
    Ok(())
}

/// A connection that batches are posted on.
struct Sender(BufReader<TcpStream>);

impl Sender {
    fn new(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Posts a batch of its own number and waits for the answer.
    fn post(&mut self, number: usize) -> Result<()> {
        let events: Vec<_> = (0..BATCH).map(|event| event_text(number * BATCH + event)).collect();
        let body = format!(r#"{{"kind":"EventList","items":[{}]}}"#, events.join(","));
        let head = format!("POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.get_mut().write_all(&[head, body].concat().into_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line)?;
        ensure!(line.contains(" 200 "), "refused: {line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line)?;
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().context("an answer's length")?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok(())
    }
}

/// An event of 2 KiB as clusters have them: someone creates, reads or lists something. One of 400 makes an alert of
/// most rule sets: a privileged pod.
fn event_text(number: usize) -> String {
    const KINDS: [(&str, &str); 4] =
        [("get", "configmaps"), ("list", "pods"), ("update", "deployments"), ("create", "pods")];
    let (verb, resource) = KINDS[number % KINDS.len()];
    let privileged = number % BATCH == 3;
    let labels: Vec<_> =
        (0..12).map(|n| format!(r#""example.org/label-{n}":"value-{number}-{n}""#)).collect();
    let labels = labels.join(",");
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"b2b26dd3-0000-4000-8000-{number:012}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/{resource}?limit=500","verb":"{verb}","user":{{"username":"system:serviceaccount:default:deployer","uid":"0b9c6f","groups":["system:serviceaccounts","system:authenticated"]}},"sourceIPs":["10.0.0.17"],"userAgent":"kubectl/v1.34.0 (linux/amd64) kubernetes/abcdef0","objectRef":{{"resource":"{resource}","namespace":"default","name":"web-{number}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestObject":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-{number}","namespace":"default","labels":{{{labels}}}}},"spec":{{"containers":[{{"name":"web","image":"registry.example.org/team/web:1.27","ports":[{{"containerPort":8080,"protocol":"TCP"}}],"resources":{{"limits":{{"cpu":"500m","memory":"256Mi"}}}},"securityContext":{{"privileged":{privileged}}},"volumeMounts":[{{"name":"data","mountPath":"/data"}}]}}],"volumes":[{{"name":"data","emptyDir":{{}}}}],"restartPolicy":"Always","serviceAccountName":"default"}}}},"responseObject":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-{number}","namespace":"default","uid":"7ab0b1c0-0000-4000-8000-{number:012}","resourceVersion":"{number}","creationTimestamp":"2026-01-01T00:00:00Z"}},"status":{{"phase":"Pending","qosClass":"Burstable"}}}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.010000Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#
    )
}
