//! `saker audit setup` on a node as kubeadm leaves it: the real API server takes the derived policy and the webhook,
//! what people do then raises its alerts, and all of it can be taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::{Duration, Instant},
};

use saker_e2e::{Cluster, Node, Process, eventually, say};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    name: String,
    #[serde(default = "admin")]
    user: String,
    #[serde(default)]
    kubectl: Vec<String>,
    /// A path that is asked for without credentials, instead of kubectl.
    #[serde(default)]
    anonymous: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    fails: bool,
    #[serde(default)]
    ours: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
}

fn admin() -> String {
    "admin".to_owned()
}

fn actions() -> Vec<Action> {
    serde_saphyr::from_str(include_str!("cases/audit_actions.yaml")).expect("actions that parse")
}

/// Does it, and waits for the alerts of the rules that have to see it.
fn act(node: &Node, agent: &Process, action: &Action, upstream: bool) {
    let rules: Vec<&String> = action.ours.iter().chain(action.upstream.iter().filter(|_| upstream)).collect();
    let before: BTreeMap<_, _> = rules.iter().map(|rule| (*rule, agent.alerts(rule).len())).collect();
    let args: Vec<&str> = action.kubectl.iter().map(String::as_str).collect();
    let done = match action.anonymous.as_str() {
        "" => node.kubectl(&action.user, &args, &action.input),
        path => node.anonymous(path, &action.input),
    };
    assert_eq!(done.is_err(), action.fails, "{}: {done:?}", action.name);
    for rule in rules {
        let seen = || (agent.alerts(rule).len() > before[rule]).then_some(());
        eventually(&format!("{}: {rule}", action.name), || format!("{}\n{}", agent.log(), node.log()), seen);
    }
}

/// Everyday work that no rule of ours is about, and then something that one is about: by its alert all events before
/// it have been looked at.
fn quiet(node: &Node, agent: &Process) {
    let work: [&[&str]; 6] = [
        &["get", "pods", "-A"],
        &["get", "nodes"],
        &["get", "--raw", "/version"],
        &["create", "configmap", "colors", "--from-literal", "sky=blue"],
        &["get", "configmap", "colors"],
        &["delete", "configmap", "colors"],
    ];
    for args in work {
        node.kubectl("admin", args, "").expect("kubectl");
    }
    node.kubectl("admin", &["create", "configmap", "marker", "--from-literal", "password=x"], "")
        .expect("kubectl");
    let marker = "ConfigMap with a private credential";
    eventually("the marker", || agent.log(), || agent.alerts(marker).pop());
    let ours: BTreeSet<String> = actions().into_iter().flat_map(|action| action.ours).collect();
    for rule in ours.iter().filter(|rule| *rule != marker) {
        assert_eq!(agent.alerts(rule), Vec::<serde_json::Value>::new(), "{rule}: nothing happened");
    }
    assert_eq!(agent.alerts(marker).len(), 1);
}

#[test]
fn a_node_is_set_up_its_actions_are_seen_and_the_setup_is_taken_back() {
    let Some(cluster) = Cluster::find() else { return };
    let node = Node::start(&cluster).expect("a node");
    let before = node.manifest();
    // A kubeconfig that no API server starts with: the manifest comes back, and the server with it.
    let broken = node.root().join("broken.pem");
    fs::write(&broken, "no certificate").expect("a file");
    let broken = broken.display().to_string();
    let args = ["--apply", "--timeout", "6", "--client-certificate", &broken, "--client-key", &broken];
    let failed = node.setup_for("https://127.0.0.1:1/k8s-audit", &args);
    let failed = failed.expect_err("an API server with a broken webhook").to_string();
    assert!(failed.contains("did not become ready"), "{failed}");
    assert_eq!(node.manifest(), before);
    let ready = || node.kubectl("admin", &["get", "--raw", "/readyz"], "").ok();
    eventually("the API server is back", || node.log(), ready);
    let missing = node.setup(&["--check"]).expect_err("nothing is set up").to_string();
    assert!(!missing.contains("panicked"), "{missing}");

    let mut agent = node.agent().expect("an agent");
    let applied = node.setup(&["--apply"]).unwrap_or_else(|error| panic!("{error}\n{}", node.log()));
    assert!(applied.contains("wrote /etc/kubernetes/manifests/kube-apiserver.yaml"), "{applied}");
    let checked = node.setup(&["--check"]).expect("all is set up");
    assert!(checked.contains("sends its audit events to the agent"), "{checked}");

    quiet(&node, &agent);
    let upstream = saker_e2e::rules_files().len() > 1;
    if !upstream {
        say("skipped: upstream's rules (SAKER_FIXTURES not set)");
    }
    for action in actions() {
        act(&node, &agent, &action, upstream);
    }

    outage(&node, &mut agent);

    node.setup(&["--undo"]).expect("it is taken back");
    assert_eq!(node.manifest(), before);
}

/// Objects made before, while and after the agent is away.
const OBJECTS: usize = 120;

/// The agent is away under load for a minute (`SAKER_E2E_OUTAGE` seconds): nothing is lost, and nothing is told twice.
fn outage(node: &Node, agent: &mut Process) {
    let seconds = std::env::var("SAKER_E2E_OUTAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (away, start) = (Duration::from_secs(seconds), Instant::now());
    let mut made = 0;
    let mut make = |upto: usize| {
        while made < upto {
            let object = |i| {
                format!(
                    "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: load-{i}}}, data: {{password: x}}}}\n"
                )
            };
            let objects: String = (made..made + 10).map(object).collect();
            node.kubectl("admin", &["create", "-f", "-"], &objects).expect("kubectl");
            made += 10;
        }
    };
    make(20);
    agent.stop().expect("the agent stops");
    make(OBJECTS - 20);
    thread::sleep(away.saturating_sub(start.elapsed()));
    *agent = node.agent().expect("the agent again");
    make(OBJECTS);
    let names = || {
        let alerts = agent.alerts("ConfigMap with a private credential");
        let name =
            |alert: &serde_json::Value| alert["output_fields"]["ka.target.name"].as_str().map(str::to_owned);
        alerts.iter().filter_map(name).filter(|name| name.starts_with("load-")).collect::<Vec<_>>()
    };
    // A batch that was refused is sent again after 10 s, and then after half as long again, four times.
    let limit = Duration::from_secs(110);
    let all = saker_e2e::within(limit, || (names().len() >= OBJECTS).then_some(()));
    assert!(all.is_some(), "{} of {OBJECTS} alerts\n{}", names().len(), node.log());
    thread::sleep(Duration::from_secs(3));
    let (told, different) = (names().len(), names().into_iter().collect::<BTreeSet<_>>().len());
    assert_eq!((told, different), (OBJECTS, OBJECTS), "each once");
    say(&format!("{OBJECTS} objects around {seconds} s without an agent: each told once"));
}
