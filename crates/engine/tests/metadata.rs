//! Rules that read what a container's runtime tells, while it is on its way.

use std::sync::{Arc, Mutex};

use saker_alert::Alert;
use saker_engine::{Options, RulesHandle, SyscallEngine, waiting::Counters};
use saker_events::{
    Event, Origin, SYSCALL_SOURCE,
    container::{Container, Lookup, Metadata, Pod},
    schema, write,
};
use saker_rules::{
    compile::Condition,
    limits::MAX_DEPTH,
    parse::parse,
    ruleset::{RuleInfo, RuleSetBuilder},
    template::Template,
};
use serde_json::{Value, json};

const TS: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const IMAGE: &str = "evt.type = openat and container.image.repository = docker.io/nginx";

/// Remembers what it was asked.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Arc<Container>>>);

impl Lookup for Asked {
    fn look_up(&self, container: &Arc<Container>) {
        container.set_pending(true);
        self.0.lock().unwrap().push(Arc::clone(container));
    }
}

struct Node {
    engine: SyscallEngine,
    asked: Arc<Asked>,
    alerts: Vec<String>,
}

impl Node {
    fn new(rules: &[(&str, &str)]) -> Self {
        let schema = schema();
        let mut builder = RuleSetBuilder::new(schema.clone());
        for (condition, output) in rules {
            let condition = parse(condition, MAX_DEPTH).unwrap();
            let condition = Condition::compile(&condition, &schema, SYSCALL_SOURCE).unwrap();
            let info = RuleInfo {
                name: (*output).to_owned(),
                desc: String::new(),
                priority: 4,
                source: SYSCALL_SOURCE,
                tags: Vec::new(),
                enabled: true,
                ..RuleInfo::default()
            };
            let output = Template::compile(output, &schema, SYSCALL_SOURCE).unwrap();
            builder.add(info, &condition, output, Vec::new());
        }
        let asked = Arc::new(Asked::default());
        let options = Options { containers: Some(asked.clone()), ..Options::new("node-1") };
        let mut node = Self {
            engine: SyscallEngine::new(&RulesHandle::new(builder.build()), &options),
            asked,
            alerts: Vec::new(),
        };
        for pid in [7, 8] {
            let cgroups = format!("memory=/docker/{pid:064x}\0");
            node.feed(
                "execve",
                pid,
                TS,
                &json!({"res": 0, "pid": pid, "comm": format!("app{pid}"), "ptid": 1, "cgroups": cgroups}),
            );
        }
        node
    }

    fn feed(&mut self, name: &str, pid: u32, ts: u64, params: &Value) {
        let row = write::row(name).unwrap();
        let params = write::params(row, params.as_object().unwrap()).unwrap();
        let bytes = write::event(ts, pid.into(), row.code, &params);
        let mut event = Event::parse(&bytes).unwrap();
        event.origin = Some(Origin { tgid: pid, start: 7 });
        let alerts = &mut self.alerts;
        self.engine.event(&event, &mut |alert: Alert| alerts.push(alert.message));
    }

    fn open(&mut self, pid: u32, name: &str, milliseconds: u64) {
        let params = json!({"fd": 3, "dirfd": -100, "name": name, "flags": 1});
        self.feed("openat", pid, TS + milliseconds * MILLISECOND, &params);
    }

    /// The runtime tells of the container of a process.
    fn tell(&self, pid: usize, image: &str) {
        let pod = Pod { name: "web".to_owned(), ..Pod::default() };
        let metadata = Metadata { image: image.to_owned(), pod: Some(pod), ..Metadata::default() };
        self.asked.0.lock().unwrap()[pid - 7].set_metadata(metadata);
    }

    fn wait(&mut self, milliseconds: u64) {
        let alerts = &mut self.alerts;
        self.engine.release(TS + milliseconds * MILLISECOND, &mut |alert: Alert| alerts.push(alert.message));
    }
}

#[test]
fn a_condition_waits_for_metadata() {
    let mut node = Node::new(&[(IMAGE, "%fd.name %k8s.pod.name")]);
    node.open(7, "/a", 0);
    node.open(8, "/b", 1);
    assert_eq!(node.alerts, [""; 0]);
    node.tell(7, "docker.io/nginx:1");
    node.tell(8, "docker.io/redis:1");
    node.open(7, "/c", 2);
    assert_eq!(node.alerts, ["/a web", "/c web"]);
    node.wait(600);
    assert_eq!(node.alerts.len(), 2, "nothing comes twice");
    assert_eq!(node.engine.waiting(), Counters { waited: 2, late: 0, crowded: 0 });
}

#[test]
fn an_event_waits_only_if_all_else_in_the_condition_holds() {
    let slow = "not proc.name = app7 and fd.name glob */secret and not fd.name contains public";
    let mut node = Node::new(&[(&format!("{IMAGE} and {slow}"), "%fd.name")]);
    node.open(7, "/a/secret", 0);
    node.open(8, "/a", 0);
    node.open(8, "/public/secret", 0);
    assert_eq!(node.engine.waiting().waited, 0);
    node.open(8, "/a/secret", 1);
    node.wait(600);
    assert_eq!(node.engine.waiting().waited, 1);
}

#[test]
fn a_negative_condition_is_not_fooled_by_what_is_not_known_yet() {
    let mut node =
        Node::new(&[("evt.type = openat and not container.image.repository = docker.io/nginx", "%fd.name")]);
    node.open(7, "/a", 0);
    node.tell(7, "docker.io/nginx:1");
    node.wait(1);
    assert_eq!(node.alerts, [""; 0]);
}

#[test]
fn an_alert_goes_after_half_a_second_with_what_is_known() {
    let mut node = Node::new(&[("evt.type = openat", "%fd.name %proc.name %container.image")]);
    node.open(7, "/a", 0);
    node.wait(499);
    assert_eq!(node.alerts, [""; 0]);
    node.wait(500);
    assert_eq!(node.alerts, ["/a app7 <NA>"]);
    assert_eq!(node.engine.waiting().late, 1);
}

#[test]
fn alerts_of_a_container_keep_their_order_and_others_do_not_wait() {
    let mut node = Node::new(&[
        ("evt.type = openat and fd.name = /named", "%fd.name %container.image"),
        ("evt.type = openat and fd.name startswith /plain", "%fd.name"),
    ]);
    node.open(7, "/named", 0);
    node.open(7, "/plain", 1);
    node.open(7, "/quiet", 1);
    node.open(8, "/plain/of/another", 2);
    assert_eq!(node.alerts, ["/plain/of/another"]);
    node.tell(7, "nginx");
    node.wait(3);
    assert_eq!(node.alerts, ["/plain/of/another", "/named nginx", "/plain"]);
    assert_eq!(node.engine.waiting().waited, 2);
}

#[test]
fn an_event_that_waits_is_told_as_it_was() {
    let mut node = Node::new(&[("evt.type = openat", "%proc.name %container.image %evt.time.s")]);
    node.open(7, "/a", 0);
    node.feed("execve", 7, TS + 1, &json!({"res": 0, "pid": 7, "comm": "other", "ptid": 1}));
    node.feed("procexit", 7, TS + 2, &json!({}));
    node.tell(7, "nginx");
    node.wait(3);
    assert!(node.alerts[0].starts_with("app7 nginx "), "{:?}", node.alerts);
}
