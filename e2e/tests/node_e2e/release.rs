//! The release: what helm does with it.

use std::{fs, path::Path, process::Command};

use saker_e2e::{Cluster, NAMESPACE, checkout, eventually};

/// Where the API server of `e2e/node.sh` sends audit events.
const CLUSTER_IP: &str = "10.96.200.1";
const CRD: &str = "falcorules.saker.dev";

/// Whether the API server sends audit events to the release; kind's does not.
pub fn takes_audit_events() -> bool {
    std::env::var_os("SAKER_NODE_AUDIT").is_some()
}

/// From the checkout, as the documents say.
pub fn install(cluster: &Cluster) {
    let version = env!("CARGO_PKG_VERSION");
    helm(cluster, "install", &checkout("charts/saker"), version);
    let agent = &pods(cluster, saker_e2e::AGENTS);
    assert!(!agent.is_empty(), "no agents");
}

fn helm(cluster: &Cluster, verb: &str, chart: &str, tag: &str) {
    let tag = format!("image.tag={tag}");
    let address = format!("agent.clusterIP={CLUSTER_IP}");
    let mut args =
        vec![verb, "saker", chart, "--namespace", NAMESPACE, "--wait", "--timeout", "5m", "--set", &tag];
    if verb == "install" {
        args.push("--create-namespace");
    }
    if takes_audit_events() {
        args.extend(["--set", &address]);
    }
    cluster.helm(&args).unwrap_or_else(|e| panic!("{e:#}\n{}", state(cluster)));
}

/// What is seen when something does not become ready.
fn state(cluster: &Cluster) -> String {
    let look = |args: &[&str]| cluster.kubectl(args).unwrap_or_else(|e| format!("{e:#}"));
    let agent = ["-n", NAMESPACE, "logs", "--prefix", "--tail=30", "-l", "app.kubernetes.io/name=saker"];
    [
        look(&["-n", NAMESPACE, "get", "pods", "-o", "wide"]),
        look(&["-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"]),
        look(&agent),
    ]
    .join("\n")
}

/// A chart of the next version, over definitions that are older than its own.
pub fn upgrade(cluster: &Cluster) {
    let older = r#"[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]"#;
    cluster.kubectl(&["patch", "crd", CRD, "--type=json", "-p", older]).expect("a definition to spoil");
    let folder = tempfile::tempdir().expect("a folder");
    let chart = next_version(folder.path());
    helm(cluster, "upgrade", &chart, "next");
    let listed = cluster.helm(&["list", "-n", NAMESPACE]).expect("a list");
    assert!(listed.contains("saker-99.0.0"), "{listed}");
    let columns = cluster.get(&["crd", CRD]).expect("a definition");
    assert!(
        columns["spec"]["versions"][0]["additionalPrinterColumns"].is_array(),
        "the definitions are not upgraded"
    );
    eventually(
        "the old agents are gone",
        || state(cluster),
        || {
            let all = cluster.get(&["-n", NAMESPACE, "pods", "-l", saker_e2e::AGENTS])?;
            let nodes = cluster.get(&["nodes"])?["items"].as_array()?.len();
            (all["items"].as_array()?.len() == nodes).then_some(())
        },
    );
}

fn next_version(folder: &Path) -> String {
    let copy = Command::new("cp").arg("-r").arg(checkout("charts/saker")).arg(folder).status();
    assert!(copy.is_ok_and(|status| status.success()), "a chart to copy");
    let chart = folder.join("saker");
    let text = fs::read_to_string(chart.join("Chart.yaml")).expect("Chart.yaml");
    let version = format!("\nversion: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "the chart has the version of the programs");
    fs::write(chart.join("Chart.yaml"), text.replace(&version, "\nversion: 99.0.0\n"))
        .expect("a writable copy");
    chart.display().to_string()
}

/// `helm test`: the release proves itself.
pub fn test(cluster: &Cluster) {
    let args = ["test", "saker", "--namespace", NAMESPACE, "--timeout", "3m"];
    let said = cluster.helm(&args).unwrap_or_else(|e| panic!("{e:#}\n{}", state(cluster)));
    assert!(said.contains("Phase:          Succeeded"), "{said}");
}

/// The names of the pods with this label.
pub fn pods(cluster: &Cluster, label: &str) -> Vec<String> {
    let found = cluster.get(&["-n", NAMESPACE, "pods", "-l", label]).unwrap_or_default();
    let names = found["items"].as_array().into_iter().flatten();
    names.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// `helm uninstall`, then the definitions as the documents say: nothing of the release is left in the cluster.
pub fn uninstall(cluster: &Cluster) {
    cluster.helm(&["uninstall", "saker", "--namespace", NAMESPACE, "--wait"]).expect("a release to remove");
    let definitions = cluster.kubectl(&["get", "crd", "-o", "name"]).expect("definitions");
    let ours: Vec<_> = definitions.lines().filter(|name| name.ends_with(".saker.dev")).collect();
    cluster.kubectl(&[&["delete"], ours.as_slice()].concat()).expect("definitions to remove");
    eventually("nothing is left", || left(cluster), || left(cluster).is_empty().then_some(()));
}

/// Objects of every kind that bear our name.
fn left(cluster: &Cluster) -> String {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).expect("kinds");
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let found = cluster.kubectl(&["get", &kinds.join(","), "-A", "--ignore-not-found", "-o", "name"]);
    let names = found.expect("objects");
    let ours = names.lines().filter(|name| name.contains("saker") && *name != "namespace/saker-system");
    ours.collect::<Vec<_>>().join("\n")
}
