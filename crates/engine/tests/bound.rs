//! Rules of files with a binding: whose events they see, and what of their matches is told.

use std::sync::{Arc, Mutex};

use saker_alert::Alert;
use saker_engine::{AuditEngine, Count, Options, RulesHandle, SyscallEngine};
use saker_events::{
    Event, Origin,
    audit::{AuditEvent, Json},
    container::{Container, Labels, Lookup, Metadata, Pod},
    load_options, write,
};
use saker_rules::{
    binding::Binding,
    load::{LoadOptions, Mode, SourceFile, load},
};
use serde_json::{Value, json};

const TS: u64 = 1_700_000_000_000_000_000;
const RULES: &str = "
- macro: opened
  condition: evt.type = openat
- rule: Opened
  desc: d
  condition: opened
  output: '%fd.name'
  priority: NOTICE
- rule: Read
  desc: d
  condition: ka.verb = get
  output: '%ka.target.namespace'
  priority: NOTICE
  source: k8s_audit
";

/// A runtime that tells at once in which namespace a container is: that of its number.
#[derive(Debug, Default)]
struct Runtime(Mutex<Vec<Arc<Container>>>);

impl Lookup for Runtime {
    fn look_up(&self, container: &Arc<Container>) {
        container.set_pending(true);
        self.0.lock().unwrap().push(Arc::clone(container));
    }
}

impl Runtime {
    fn tell(&self) {
        for container in self.0.lock().unwrap().iter() {
            let pid = container.full_id.trim_start_matches('0').to_owned();
            let labels: Labels = [("app".to_owned(), format!("app-{pid}"))].into_iter().collect();
            let pod =
                Pod { name: "web".to_owned(), namespace: format!("ns-{pid}"), labels, ..Pod::default() };
            container.set_metadata(Metadata { pod: Some(pod), ..Metadata::default() });
        }
    }
}

fn bound(name: &str, text: &str, syscall: &str, k8s_audit: &str, shadow: bool) -> SourceFile {
    let conditions = [("syscall", syscall), ("k8s_audit", k8s_audit)];
    let conditions = conditions.map(|(source, text)| (source.to_owned(), text.to_owned())).into();
    let owner = Some(name.to_owned());
    let binding = Binding { owner, conditions, shadow, ..Binding::default() };
    SourceFile { binding: Some(binding), ..SourceFile::new(name, text) }
}

fn rules(files: &[SourceFile]) -> RulesHandle {
    let options = LoadOptions { mode: Mode::Quarantine, ..load_options() };
    let loaded = load(files, &options);
    assert!(loaded.successful(), "{:?}", loaded.files);
    RulesHandle::new(loaded.rules.unwrap())
}

/// One open by each of: the host (pid 6) and the pods of the namespaces ns-7 and ns-8.
fn opens(files: &[SourceFile], options: &Options) -> Vec<(String, String)> {
    let runtime = Arc::new(Runtime::default());
    let options = Options { containers: Some(runtime.clone()), ..options.clone() };
    let mut engine = SyscallEngine::new(&rules(files), &options);
    let mut alerts = Vec::new();
    let mut feed = |name: &str, pid: u32, params: &Value| {
        let row = write::row(name).unwrap();
        let params = write::params(row, params.as_object().unwrap()).unwrap();
        let bytes = write::event(TS, pid.into(), row.code, &params);
        let mut event = Event::parse(&bytes).unwrap();
        event.origin = Some(Origin { tgid: pid, start: 7 });
        engine.event(&event, &mut |alert: Alert| alerts.push((alert.rule, alert.message)));
    };
    for pid in [6, 7, 8] {
        let cgroups = if pid == 6 { "memory=/\0".to_owned() } else { format!("memory=/docker/{pid:064}\0") };
        feed("execve", pid, &json!({"res": 0, "pid": pid, "comm": "app", "ptid": 1, "cgroups": cgroups}));
    }
    for pid in [6, 7, 8] {
        feed("openat", pid, &json!({"fd": 3, "dirfd": -100, "name": format!("/by/{pid}"), "flags": 1}));
    }
    runtime.tell();
    engine.release(TS + 1, &mut |alert: Alert| alerts.push((alert.rule, alert.message)));
    alerts
}

fn gets(files: &[SourceFile], options: &Options) -> Vec<String> {
    let mut engine = AuditEngine::new(rules(files), options);
    let mut alerts = Vec::new();
    for namespace in ["ns-7", "ns-8", ""] {
        let event =
            json!({"auditID": "1", "verb": "get", "objectRef": {"namespace": namespace, "resource": "pods"}});
        let json: Json = serde_json::from_value(event).unwrap();
        engine.event(AuditEvent { time: TS, json }, &mut |alert: Alert| alerts.push(alert.message));
    }
    alerts
}

fn check(syscall: &str, expected: &[&str]) {
    let alerts = opens(&[bound("f", RULES, syscall, "", false)], &Options::new("n"));
    assert_eq!(alerts.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>(), expected, "{syscall}");
}

#[test]
fn rules_see_the_events_that_they_are_bound_to() {
    check("", &["/by/6", "/by/7", "/by/8"]);
    check("k8s.ns.name = \"ns-7\"", &["/by/7"]);
    check("k8s.ns.name = \"ns-9\"", &[]);
    check("k8s.pod.name exists and k8s.pod.label[app] in (\"app-8\", \"x\")", &["/by/8"]);
    check("container.id = host", &["/by/6"]);
    check("(container.id = host or (container.id != host and k8s.ns.name = \"ns-8\"))", &["/by/6", "/by/8"]);
}

#[test]
fn audit_rules_see_their_namespace() {
    let options = Options::new("n");
    let of = |condition: &str| gets(&[bound("f", RULES, "", condition, false)], &options);
    assert_eq!(of("ka.target.namespace = \"ns-8\""), ["ns-8"]);
    assert_eq!(of("").len(), 3);
}

#[test]
fn namespaces_with_rules_of_one_name_have_their_own_alerts_and_hits() {
    let options = Options::new("n");
    let files = ["ns-7", "ns-8"].map(|ns| bound(ns, RULES, &format!("k8s.ns.name = \"{ns}\""), "", false));
    let alerts = opens(&files, &options);
    let expected = [("Opened", "/by/7"), ("Opened", "/by/8")].map(|(r, m)| (r.to_owned(), m.to_owned()));
    assert_eq!(alerts, expected);
    let hits: Vec<_> =
        options.hits.files().into_iter().map(|(file, count)| (file.to_string(), count)).collect();
    let one = Count { matches: 1, last: TS };
    assert_eq!(hits, [("ns-7".to_owned(), one), ("ns-8".to_owned(), one)]);
}

#[test]
fn a_rule_in_shadow_is_counted_and_tells_nothing() {
    let options = Options::new("n");
    let loud = SourceFile::new("loud", RULES.replace("Opened", "Loud"));
    let alerts = opens(&[bound("quiet", RULES, "", "", true), loud], &options);
    assert_eq!(alerts.len(), 3);
    assert!(alerts.iter().all(|(rule, _)| rule == "Loud"), "{alerts:?}");
    let count =
        |name: &str| options.hits.files().iter().find(|(file, _)| **file == *name).map(|(_, c)| c.matches);
    assert_eq!((count("quiet"), count("loud")), (Some(3), Some(3)));
}
