//! Audit events over HTTP, without any privilege.

use std::{
    fs,
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::running::{Running, start, start_in};

/// An anonymous request creates a namespace (story B, step 3).
const SAMPLE: &[u8] = include_bytes!("../../../docs/examples/sample-event.json");

fn agent(more: &[&str]) -> Running {
    start(&[&["--disable-source", "syscall"], more].concat())
}

/// The ConfigMap of both stories.
fn configmap(id: &str) -> Vec<u8> {
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id,
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/default/configmaps", "verb": "create",
        "user": {"username": "system:admin", "groups": ["system:masters"]}, "sourceIPs": ["10.0.0.1"],
        "objectRef": {"resource": "configmaps", "namespace": "default", "name": "aws-creds", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"kind": "ConfigMap", "data": {"aws_access_key_id": "AKES20LNOA"}},
        "stageTimestamp": "2026-11-24T00:00:00.000000Z", "requestReceivedTimestamp": "2026-11-24T00:00:00.000000Z",
    });
    serde_json::to_vec(&event).unwrap()
}

#[test]
fn the_sample_event_is_an_alert_with_and_without_its_header() {
    let agent = agent(&[]);
    let json = "Content-Type: application/json\r\n";
    assert_eq!(agent.request("POST", "/k8s-audit", json, SAMPLE).0, 200);
    let (_, line) = agent.alert("anonymous");
    let time = line.split(": ").next().unwrap();
    assert_eq!((time.len(), time.matches(':').count()), (18, 2), "{line}");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(agent.request("POST", "/k8s-audit", form, &configmap("a")).0, 200);
    agent.alert("aws_access_key_id");
    let (status, summary) = agent.interrupt();
    assert!(status.success(), "{summary}");
    assert!(summary.contains("Events seen from k8s_audit: 2, lost: 0"), "{summary}");
    assert!(summary.contains("Triggered rules by rule name:"), "{summary}");
}

#[test]
fn garbage_is_refused_with_a_reason_and_the_agent_lives_on() {
    let agent = agent(&[]);
    for body in [&b"garbage"[..], b"", b"{\"kind\": \"Pod\"}", b"\xff\xfe", b"[[[["] {
        let (status, reason) = agent.request("POST", "/k8s-audit", "", body);
        assert_eq!(status, 400, "{body:?}: {reason}");
        assert!(reason.len() > 10, "{body:?}: {reason}");
    }
    assert_eq!(agent.get("/k8s-audit").0, 405);
    assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap("a")).0, 200);
    agent.alert("aws_access_key_id");
}

#[test]
fn health_versions_status_and_metrics_are_served() {
    let agent = agent(&[]);
    assert_eq!(agent.get("/healthz"), (200, r#"{"status": "ok"}"#.to_owned()));
    assert_eq!(agent.get("/nothing").0, 404);
    let versions = agent.get("/versions").1;
    for part in [r#""engine_version":"63""#, r#""engine_version_semver":"0.63.0""#, r#""k8saudit":"0.18.0""#]
    {
        assert!(versions.contains(part), "no {part} in {versions}");
    }
    assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap("a")).0, 200);
    agent.alert("aws_access_key_id");

    let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
    assert_eq!(
        status["sources"]["k8s_audit"],
        serde_json::json!({"state": "running", "events": 1, "lost": 0})
    );
    assert_eq!(status["sources"]["syscall"]["state"], "off");
    assert_eq!(status["rules"]["rejected"], 0, "{status}");
    assert!(status["rules"]["loaded"].as_u64().unwrap() >= 20, "{status}");

    // It is counted after it was written.
    let metrics = agent.until("/metrics", r#"saker_output_sent_total{output="stdout"} 1"#);
    for line in [
        r#"rule_name="ConfigMap with a private credential",source="k8s_audit""#,
        "saker_audit_requests_total{outcome=",
        r#"saker_rules_loaded{state="rejected"} 0"#,
        "falcosecurity_scap_n_evts_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let zero = metrics.lines().filter(|l| l.contains("rules_matches_total{") && l.ends_with(" 0")).count();
    assert!(zero >= 20, "rules are exported from zero");
}

#[test]
fn json_has_the_shape_that_falcosidekick_takes() {
    let agent = agent(&["-o", "json_output=true"]);
    assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap("a")).0, 200);
    let (_, line) = agent.alert("aws_access_key_id");
    let alert: serde_json::Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<_> = alert.as_object().unwrap().keys().collect();
    let expected = ["hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"];
    assert_eq!(keys, expected);
    assert_eq!(
        (alert["hostname"].as_str(), alert["source"].as_str()),
        (Some("test-node"), Some("k8s_audit"))
    );
    assert_eq!(alert["time"], "2026-11-24T00:00:00.000000000Z");
    assert_eq!(alert["output_fields"]["evt.time"], 1_795_478_400_000_000_000_u64);
}

#[test]
fn a_full_disk_and_a_dead_sink_stop_nothing() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = format!("http_output={{enabled: true, url: 'http://{dead}/'}}");
    let agent = agent(&["-o", "file_output={enabled: true, filename: /dev/full}", "-o", &sink]);
    for id in ["a", "b"] {
        assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap(id)).0, 200);
    }
    agent.alert("aws_access_key_id");
    agent.log("cannot write to /dev/full: No space left on device");
    agent.log("Connection refused");
    let (status, log) = agent.interrupt();
    assert!(status.success());
    assert!(log.contains("Alerts to file: 0 sent, 2 failed, 0 dropped"), "{log}");
    assert_eq!(log.matches("No space left").count(), 1, "said once: {log}");
}

#[test]
fn a_rotated_file_is_opened_anew_on_a_signal() {
    let agent = agent(&["-o", "file_output={enabled: true, keep_alive: true, filename: '@/alerts'}"]);
    assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap("a")).0, 200);
    agent.alert("aws_access_key_id");
    let (file, rotated) = (agent.path("alerts"), agent.path("alerts.1"));
    wait_for_text(&file);
    fs::rename(&file, &rotated).unwrap();
    agent.signal("USR1");
    // The signal is handled while requests are; only its own effect shows that it was.
    let (start, mut id) = (std::time::Instant::now(), 0);
    while !file.exists() {
        id += 1;
        assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap(&id.to_string())).0, 200);
        assert!(start.elapsed() < crate::running::PATIENCE, "the file is not opened anew");
    }
}

fn wait_for_text(file: &std::path::Path) {
    let start = std::time::Instant::now();
    while fs::read(file).unwrap_or_default().is_empty() {
        assert!(start.elapsed() < crate::running::PATIENCE, "nothing is written");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn rules_change_while_it_runs_and_a_broken_file_keeps_the_last_good_ones() {
    let dir = tempfile::TempDir::new().unwrap();
    let agent = start_in(dir, &["--disable-source", "syscall", "-o", "rule_matching=all"]);
    // An event that was there before makes no second alert.
    let count = AtomicU32::new(0);
    let post = || {
        let id = format!("mine-{}", count.fetch_add(1, Relaxed));
        assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap(&id)).0, 200);
    };
    let rule = |output: &str| {
        format!(
            "- rule: Mine\n  desc: d\n  condition: ka.verb = create and jevt.value[/auditID] startswith mine\n  output: {output} %ka.verb\n  priority: NOTICE\n  source: k8s_audit\n"
        )
    };
    let file = agent.path("rules.d/mine.yaml");
    agent.log("listening on");
    fs::write(&file, rule("first")).unwrap();
    until(&agent, post, "Notice first create");

    fs::write(&file, format!("{}- rule: Mine too\n  condition: ka.verb ==== create\n", rule("broken")))
        .unwrap();
    let error = agent.log("The last good rules stay in force");
    assert!(error.contains("rules.d/mine.yaml:"), "{error}");
    assert!(
        error.split("mine.yaml:").nth(1).unwrap().split(':').take(2).all(|n| n.parse::<u32>().is_ok()),
        "{error}"
    );
    let before = agent.stdout.all().len();
    post();
    let start = std::time::Instant::now();
    while !agent.stdout.all()[before..].iter().any(|line| line.contains("Notice first create")) {
        assert!(start.elapsed() < crate::running::PATIENCE, "the last good rule is gone");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
    assert!(status["rules"]["last_error"].as_str().unwrap().contains("mine.yaml"), "{status}");

    fs::write(&file, rule("mended")).unwrap();
    until(&agent, post, "Notice mended create");
    assert!(!agent.stdout.all().iter().any(|line| line.contains("broken")));
}

/// Repeats an action until an alert comes of it.
#[track_caller]
fn until(agent: &Running, act: impl Fn(), text: &str) {
    let start = std::time::Instant::now();
    while start.elapsed() < crate::running::PATIENCE {
        act();
        std::thread::sleep(std::time::Duration::from_millis(50));
        if agent.stdout.all().iter().any(|line| line.contains(text)) {
            return;
        }
    }
    panic!("no alert with '{text}':\n{}", agent.stderr.all().join("\n"));
}

#[test]
fn elsewhere_than_on_loopback_a_token_must_be_shown() {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("token"), "0123456789abcdef\n").unwrap();
    let open = ["--disable-source", "syscall", "-o", "webserver.listen_address=0.0.0.0"];
    let agent = start_in(dir, &[&open[..], &["-o", "k8s_audit.token_file=@/token"]].concat());
    let (status, reason) = agent.request("POST", "/k8s-audit", "", &configmap("a"));
    assert_eq!(status, 401, "{reason}");
    assert!(reason.contains("k8s_audit.token_file"), "{reason}");
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(agent.request("POST", "/k8s-audit", token, &configmap("a")).0, 200);
    agent.alert("aws_access_key_id");
    assert_eq!(agent.get("/healthz").0, 200, "health checks have no token");
    assert!(agent.get("/metrics").1.contains(r#"saker_audit_requests_total{outcome="unauthorized"} 1"#));
    drop(agent);
    start(&[&open[..], &["-o", "k8s_audit.allow_anonymous=true"]].concat())
        .log("whoever reaches 0.0.0.0 may post");
}

#[test]
fn a_log_file_is_followed_across_restarts() {
    let line = |id| [configmap(id), b"\n".to_vec()].concat();
    let kept = tempfile::TempDir::new().unwrap();
    let log = kept.path().join("audit.log");
    let [file, state] =
        ["k8s_audit.log_file=", "state_dir="].map(|key| format!("{key}{}", kept.path().display()));
    let file = format!("{file}/audit.log");
    let arguments = ["-o", file.as_str(), "-o", &state, "-o", "webserver.k8s_audit_endpoint="];
    fs::write(&log, line("before")).unwrap();
    let first = agent(&[&arguments[..], &["-o", "k8s_audit.log_start=beginning"]].concat());
    first.alert("aws_access_key_id");
    assert_eq!(first.request("POST", "/k8s-audit", "", &configmap("a")).0, 405, "nothing is posted here");
    assert!(first.interrupt().0.success());
    fs::write(&log, [line("before"), line("meanwhile")].concat()).unwrap();
    let second = agent(&arguments);
    second.alert("aws_access_key_id");
    let (_, summary) = second.interrupt();
    assert!(summary.contains("Events seen from k8s_audit: 1,"), "{summary}");
}

#[test]
fn an_audit_sink_has_a_log_followed() {
    let dir = tempfile::TempDir::new().unwrap();
    let (log, order) = (dir.path().join("audit.log"), dir.path().join("order.json"));
    fs::write(&log, [configmap("a"), b"\n".to_vec()].concat()).unwrap();
    let folder = format!("k8s_audit.sink_folder={}", dir.path().display());
    let state = format!("state_dir={}", dir.path().display());
    let options = ["-o", &folder, "-o", &state, "-o", "k8s_audit.log_start=beginning"];
    let agent = agent(&[&options[..], &["-o", "webserver.k8s_audit_endpoint="]].concat());
    agent.log("no audit events by the AuditSink's webhook yet");
    let text = serde_json::json!({"tail": true, "log_file": log}).to_string();
    fs::write(order, text).unwrap();
    agent.alert("aws_access_key_id");
    assert!(agent.interrupt().0.success());
}

#[test]
fn silence_is_an_alert_and_the_status_tells_what_came() {
    let agent = agent(&["-o", "k8s_audit.silent_after=1"]);
    assert_eq!(agent.request("POST", "/k8s-audit", "", &configmap("a")).0, 200);
    agent.alert("Saker internal: source silent (source=k8s_audit seconds=1 last_event=1795478400000000000)");
    let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
    assert_eq!(
        status["k8s_audit"]["events"],
        serde_json::json!({"RequestResponse": {"ResponseComplete": 1}})
    );
    assert_eq!(status["k8s_audit"]["last_event"], 1_795_478_400_000_000_000_u64);
}

#[test]
fn a_policy_that_leaves_rules_blind_is_noticed() {
    let agent = agent(&[]);
    let mut event: serde_json::Value = serde_json::from_slice(&configmap("a")).unwrap();
    event["level"] = "Metadata".into();
    event.as_object_mut().unwrap().remove("requestObject");
    let post =
        |event: &serde_json::Value| agent.request("POST", "/k8s-audit", "", event.to_string().as_bytes()).0;
    assert_eq!(post(&event), 200);
    let blind = || -> serde_json::Value {
        let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
        let rules = status["k8s_audit"]["blind"].as_array().unwrap().clone();
        rules
            .into_iter()
            .find(|rule| rule["rule"] == "ConfigMap with a private credential")
            .unwrap_or_default()
    };
    assert!(
        blind()["reason"].as_str().unwrap().contains("at level Metadata, it needs Request"),
        "{}",
        blind()
    );
    let fix = blind()["fix"].as_str().unwrap().to_owned();
    assert!(fix.contains("level: Request") && fix.contains("configmaps"), "{fix}");
    let metrics = agent.get("/metrics").1;
    for line in [
        r#"saker_audit_blind_rule{rule_name="ConfigMap with a private credential"} 1"#,
        "saker_audit_lacking_events_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    event["level"] = "Request".into();
    assert_eq!(post(&event), 200);
    assert_eq!(blind(), serde_json::Value::Null, "it sees now");
}
