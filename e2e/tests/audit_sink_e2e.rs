//! An AuditSink on a node as kubeadm leaves it: it says what to do, does it when told to, and takes it back.

use std::{fs, time::Duration};

use saker_e2e::{Cluster, Kind, NAMESPACE, Node, Process, Sink, checkout, eventually, within};

const RULE: &str = "ConfigMap with a private credential";

/// Waits for a condition.
fn expect(sink: &Sink, node: &Node, condition: &str, wanted: &str) {
    let why = || format!("{condition}: {:?}\n{}\n{}", sink.condition(condition), sink.logs(), node.log());
    let limit = Duration::from_mins(3);
    let seen = within(limit, || sink.condition(condition).filter(|now| now == wanted));
    assert!(seen.is_some(), "not {wanted} within {limit:?}: {}", why());
    saker_e2e::say(&format!("AuditSink {condition}={wanted}"));
}

/// Somebody puts a password into a ConfigMap, and the agent hears of it.
fn act(sink: &Sink, node: &Node, name: &str) {
    node.kubectl("admin", &["create", "configmap", name, "--from-literal", "password=x"], "")
        .expect("kubectl");
    let about = |alert: &serde_json::Value| alert["output_fields"]["ka.target.name"] == name;
    let why = || format!("{}\n{}", sink.logs(), node.log());
    eventually(&format!("{name}: {RULE}"), why, || sink.agent.alerts(RULE).into_iter().find(about));
}

#[test]
fn an_audit_sink_says_what_to_do_does_it_and_takes_it_back() {
    let Some(cluster) = Cluster::find() else { return };
    let node = Node::start(&cluster).expect("a node");
    let before = node.manifest();
    let sink = Sink::start(&cluster, &node).expect("programs");
    let other = cluster
        .apply("apiVersion: saker.dev/v1alpha1\nkind: AuditSink\nmetadata: {name: second}\nspec: {}\n");
    assert!(other.expect_err("there is one").to_string().contains("name it cluster"));

    sink.apply("{}").expect("an AuditSink");
    expect(&sink, &node, "Configured", "False Pending");
    let snippet =
        sink.status().and_then(|status| status["snippet"].as_str().map(str::to_owned)).unwrap_or_default();
    for part in ["# kubeadm", "kind: Policy", "--audit-webhook-config-file=", "get secret saker-audit-client"]
    {
        assert!(snippet.contains(part), "no {part} in {snippet}");
    }
    assert!(!snippet.contains("client-key-data"), "the key is in the Secret alone");
    assert_eq!(node.manifest(), before);

    sink.apply("{mode: Patch}").expect("an AuditSink");
    expect(&sink, &node, "Configured", "True AllNodes");
    assert!(node.manifest().contains("--audit-webhook-config-file="));
    act(&sink, &node, "patched");
    expect(&sink, &node, "Receiving", "True Events");
    expect(&sink, &node, "PolicyTooNarrow", "False AllRulesSee");
    assert_eq!(sink.post_as_a_stranger().expect("an answer"), "401");
    rotate(&cluster, &sink, &node);
    roll_back(&sink, &node);

    undo_as_helm_does(&cluster, &sink);
    assert_eq!(node.manifest(), before);
    eventually("the API server, too", || node.log(), || node.kubectl("admin", &["get", "ns"], "").ok());
}

#[test]
fn k3s_is_started_again_where_that_is_allowed() {
    let Some(cluster) = Cluster::find() else { return };
    let node = Node::start_as(&cluster, Kind::K3s).expect("a node");
    let drop_in = node.root().join("etc/rancher/k3s/config.yaml.d/90-saker-audit.yaml");
    let sink = Sink::start(&cluster, &node).expect("programs");
    // A second passes before anything is newer than the process.
    std::thread::sleep(Duration::from_secs(3));
    sink.apply("{mode: Patch}").expect("an AuditSink");
    expect(&sink, &node, "RestartRequired", "True RestartRequired");
    sink.apply("{mode: Patch, restart: Automatic, revision: 1}").expect("an AuditSink");
    expect(&sink, &node, "Configured", "True AllNodes");
    act(&sink, &node, "of-k3s");
    expect(&sink, &node, "Receiving", "True Events");
    cluster.kubectl(&["delete", "auditsink", "cluster"]).expect("kubectl");
    let taken_back = || {
        sink.mount();
        (!drop_in.exists()).then_some(())
    };
    eventually("the drop-in is gone", || sink.logs(), taken_back);
}

/// The agents' certificate is made anew, and the API server goes on without a restart.
fn rotate(cluster: &Cluster, sink: &Sink, node: &Node) {
    let namespace = "saker-system";
    let certificate = || {
        cluster.get(&["-n", namespace, "secret", "saker-audit-server"])?["data"]["tls.crt"]
            .as_str()
            .map(str::to_owned)
    };
    let first = certificate().expect("a certificate");
    let ends = r#"{"data": {"until": "MjAwMC0wMS0wMVQwMDowMDowMFo="}}"#;
    cluster
        .kubectl(&["-n", namespace, "patch", "secret", "saker-audit-server", "-p", ends])
        .expect("kubectl");
    let manifest = node.manifest();
    let renewed = || {
        sink.mount();
        certificate().filter(|now| *now != first)
    };
    eventually("another certificate", || sink.logs(), renewed);
    sink.mount();
    act(sink, node, "rotated");
    assert_eq!(node.manifest(), manifest);
}

/// An API server that does not come up again gets its files back, and nothing else is tried.
fn roll_back(sink: &Sink, node: &Node) {
    let key = node.root().join("etc/kubernetes/pki/apiserver.key");
    let away = key.with_extension("away");
    let manifest = node.manifest();
    // Somebody else writes a policy. That of the next revision is what it was before, and starts the server again.
    let policy = node.root().join("etc/kubernetes/saker/audit-policy.yaml");
    fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n")
        .expect("a policy");
    expect(sink, node, "RestartRequired", "True RestartRequired");
    fs::rename(&key, &away).expect("a key");
    sink.apply("{mode: Patch, revision: 1}").expect("an AuditSink");
    expect(sink, node, "Configured", "False RolledBack");
    assert_eq!(node.manifest(), manifest);
    fs::rename(&away, &key).expect("a key");
    eventually("the API server is back", || node.log(), || node.kubectl("admin", &["get", "ns"], "").ok());
    sink.apply("{mode: Patch, revision: 2}").expect("an AuditSink");
    expect(sink, node, "Configured", "True AllNodes");
    act(sink, node, "again");
}

/// What `helm uninstall` runs first, with the rights that the chart gives it: when it ends, all is taken back.
fn undo_as_helm_does(cluster: &Cluster, sink: &Sink) {
    let (chart, template) = (checkout("charts/saker"), "templates/audit/undo.yaml");
    let args = [
        "template",
        "saker",
        &chart,
        "--namespace",
        NAMESPACE,
        "--set",
        "auditSink.patch=true",
        "-s",
        template,
    ];
    let rendered = cluster.helm(&args).expect("a chart that renders");
    cluster.dry_run(&rendered).expect("objects that are taken");
    let (rights, job) = rendered.rsplit_once("---\n").expect("a job behind its rights");
    assert!(job.contains("command: [/saker-operator, --undo-audit]"), "{job}");
    cluster.apply(rights).expect("rights");
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = cluster.credentials("saker-audit-undo").expect("credentials");
    let args = ["--namespace", NAMESPACE, "--undo-audit"];
    let mut undo = Process::start("saker-operator", folder.path(), &credentials, args).expect("a program");
    let ended = || {
        sink.mount();
        undo.ended()
    };
    let well = within(Duration::from_mins(3), ended);
    assert_eq!(well, Some(true), "{}\n{}", undo.log(), sink.logs());
    assert_eq!(cluster.get(&["auditsink", "cluster"]), None);
    cluster.kubectl(&["delete", "clusterrole,clusterrolebinding", "saker-audit-undo"]).expect("kubectl");
}
