//! The package on a real node: installed by helm, seen at work, upgraded without a gap, measured, removed.
//!
//! One test, because each step stands on the one before; every step prints how long it took. `make e2e` runs it on the
//! node of `e2e/node.sh`, `make kind-e2e` on one of kind.

mod node_e2e {
    pub mod documents;
    pub mod privilege;
    pub mod release;
}

use std::{collections::BTreeSet, time::Instant};

use node_e2e::{documents, privilege, release};
use saker_e2e::{AGENTS, Alerts, Cluster, NAMESPACE, checkout, eventually, prometheus, say};
use serde_json::Value;

const MARKER: &str = "Shop marker written";

#[test]
fn the_package_does_its_work_on_a_real_node() {
    let Some(cluster) = Cluster::with_nodes() else { return };
    let start = Instant::now();
    step("helm install to agents and operator ready", || release::install(&cluster));
    let alerts = Alerts::follow(&cluster).expect("logs to follow");
    step("rights of the processes", privilege::check);
    step("FalcoRule applied to Loaded everywhere", || rule_is_loaded(&cluster));
    step("pods that misbehave are told, by name", || misbehaviour_is_told(&cluster, &alerts));
    step("rules of selected pods and of a namespace", || rules_keep_to_their_pods(&cluster, &alerts));
    step("metrics of agents and operator", || metrics_are_sound(&cluster));
    step("helm test", || release::test(&cluster));
    step("commands of the documents", || documents::run(&cluster));
    step("helm upgrade without a gap", || upgrade_has_no_gap(&cluster, &alerts));
    drop(alerts);
    step("helm uninstall leaves nothing", || release::uninstall(&cluster));
    say(&format!("all of it: {:.1} s", start.elapsed().as_secs_f64()));
}

fn step(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    say(&format!("[{:5.1} s] {what}", start.elapsed().as_secs_f64()));
}

fn rule_is_loaded(cluster: &Cluster) {
    cluster.apply(include_str!("objects/shop_rule.yaml")).expect("a rule that is taken");
    let wait = ["-n", NAMESPACE, "wait", "--for=condition=Loaded", "falcorule/shop-marker", "--timeout=120s"];
    cluster.kubectl(&wait).expect("a rule that is loaded");
    let rule = cluster.get(&["-n", NAMESPACE, "falcorule", "shop-marker"]).expect("a rule");
    let nodes = cluster.get(&["nodes"]).expect("nodes")["items"].as_array().map_or(0, Vec::len);
    assert_eq!(rule["status"]["nodes"]["summary"], format!("{nodes}/{nodes}"), "{rule:#}");
}

fn misbehaviour_is_told(cluster: &Cluster, alerts: &Alerts) {
    cluster.apply(include_str!("objects/shop.yaml")).expect("pods that are taken");
    let wait =
        ["-n", "shop", "wait", "--for=condition=Ready", "pod/writer", "pod/terminal", "--timeout=120s"];
    cluster.kubectl(&wait).expect("pods that are ready");
    touch(cluster, "writer", "/tmp/begin");
    touch(cluster, "terminal", "/tmp/begin");
    let rules = [(MARKER, "writer"), ("Interactive shell in a container", "terminal")];
    for (rule, pod) in rules {
        let fields = eventually(
            &format!("the alert '{rule}' with the names of the pod"),
            || alerts.text(),
            || alerts.of(rule).into_iter().find(|alert| alert["output_fields"]["k8s.pod.name"] == pod),
        );
        assert_eq!(fields["output_fields"]["k8s.ns.name"], "shop", "{fields}");
        assert_eq!(fields["output_fields"]["container.image.repository"], "localhost/busybox", "{fields}");
    }
    if release::takes_audit_events() {
        let session = |alert: &Value| alert["output_fields"]["ka.target.namespace"] == "shop";
        eventually(
            "the API server's audit event of kubectl exec",
            || alerts.text(),
            || alerts.of("Session opened into a pod").into_iter().find(session),
        );
    }
}

fn touch(cluster: &Cluster, pod: &str, file: &str) {
    cluster.kubectl(&["-n", "shop", "exec", pod, "--", "touch", file]).expect("a pod that obeys");
}

/// Every pod writes the same files: a selector takes the pods with its label, a namespace its own. The names and labels
/// are what kubelet gave to the container runtime.
fn rules_keep_to_their_pods(cluster: &Cluster, alerts: &Alerts) {
    cluster.apply(include_str!("objects/shop_selected.yaml")).expect("rules that are taken");
    for (namespace, rule) in [(NAMESPACE, "falcorule/shop-selected"), ("shop", "falcorule/shop-own")] {
        let wait = ["-n", namespace, "wait", "--for=condition=Loaded", rule, "--timeout=120s"];
        cluster.kubectl(&wait).expect("a rule that is loaded");
    }
    let wait = ["-n", "market", "wait", "--for=condition=Ready", "pod/writer", "--timeout=120s"];
    cluster.kubectl(&wait).expect("a pod that is ready");
    for (namespace, pod) in [("shop", "terminal"), ("market", "writer"), ("shop", "writer")] {
        let touch = ["-n", namespace, "exec", pod, "--", "touch", "/tmp/saker-selected", "/tmp/saker-own"];
        cluster.kubectl(&touch).expect("a pod that obeys");
    }
    let pods = |rule: &str| -> BTreeSet<String> {
        let fields = alerts.of(rule).into_iter().map(|alert| alert["output_fields"].clone());
        fields.map(|f| format!("{}/{}", f["k8s.ns.name"], f["k8s.pod.name"]).replace('"', "")).collect()
    };
    // The writer of the shop came last, and both rules are about it.
    let last = || {
        let told = |rule| pods(rule).contains("shop/writer");
        (told("Selected pod wrote") && told("Own pod wrote")).then_some(())
    };
    eventually("the alerts of the pod that wrote last", || alerts.text(), last);
    assert_eq!(pods("Selected pod wrote"), ["market/writer", "shop/writer"].map(str::to_owned).into());
    assert_eq!(pods("Own pod wrote"), ["shop/terminal", "shop/writer"].map(str::to_owned).into());
}

/// Both programs are scraped through the API server; every metric that alerts, dashboards and documents name is there
/// or is one that appears with its cause.
fn metrics_are_sound(cluster: &Cluster) {
    let mut names = BTreeSet::new();
    for (label, port) in [(AGENTS, 8765), ("app.kubernetes.io/component=operator", 8080)] {
        for pod in release::pods(cluster, label) {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/metrics");
            let text = cluster.kubectl(&["get", "--raw", &path]).expect("metrics");
            let samples = prometheus::parse(&text).unwrap_or_else(|e| panic!("{e:#}\n{text}"));
            let value = |name: &str| samples.iter().filter(|s| s.name == name).map(|s| s.value).sum::<f64>();
            if label == AGENTS {
                assert!(
                    value("falcosecurity_scap_n_evts_total") > 0.0 && value("saker_source_up") > 0.0,
                    "{text}"
                );
            }
            names.extend(samples.into_iter().map(|sample| sample.name));
        }
    }
    say(&format!("  {} families", names.len()));
    for text in ["charts/saker/alerts.yaml", "charts/saker/dashboards/saker.json"] {
        let text = std::fs::read_to_string(checkout(text)).expect("a file of the checkout");
        for name in
            words(&text).filter(|word| word.starts_with("saker_") || word.starts_with("falcosecurity_"))
        {
            assert!(names.contains(name), "nobody serves {name}");
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The writer writes all the time; every file it wrote must be in an alert of the old agent or of the new one.
fn upgrade_has_no_gap(cluster: &Cluster, alerts: &Alerts) {
    let before = release::pods(cluster, AGENTS);
    release::upgrade(cluster);
    let after = release::pods(cluster, AGENTS);
    assert!(before.iter().all(|pod| !after.contains(pod)), "{before:?} {after:?}");
    touch(cluster, "writer", "/tmp/end");
    let written = eventually(
        "the writer has ended",
        || alerts.text(),
        || cluster.kubectl(&["-n", "shop", "exec", "writer", "--", "cat", "/tmp/written"]).ok(),
    );
    let written: u32 = written.trim().parse().expect("a number");
    eventually(
        &format!("alerts of all {written} files"),
        || missing(alerts, written),
        || missing(alerts, written).is_empty().then_some(()),
    );
}

/// Files that no alert names.
fn missing(alerts: &Alerts, written: u32) -> String {
    let told = alerts.of(MARKER);
    let told: BTreeSet<_> =
        told.iter().filter_map(|alert| alert["output_fields"]["fd.name"].as_str()).collect();
    let files = (1..=written).map(|n| format!("/tmp/saker-marker-{n}"));
    files.filter(|file| !told.contains(file.as_str())).collect::<Vec<_>>().join(" ")
}
