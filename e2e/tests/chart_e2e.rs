//! The chart: helm and a real API server take it, and `deploy/saker.yaml` is what it renders.

use std::{env, fs};

use saker_e2e::{Cluster, checkout};

/// What stands before the rendered chart; `kubectl apply` makes no namespace by itself.
const HEADER: &str = "\
# Rendered from charts/saker: `UPDATE_EXPECT=1 make e2e` rewrites it.
apiVersion: v1
kind: Namespace
metadata:
  name: saker-system
  labels:
    # The agent shares the node's processes and asks for four capabilities.
    pod-security.kubernetes.io/enforce: privileged
";

fn render(cluster: &Cluster, more: &[&str]) -> String {
    let chart = checkout("charts/saker");
    let args = ["template", "saker", &chart, "--namespace", "saker-system", "--include-crds"];
    cluster.helm(&[&args, more].concat()).expect("a chart that renders")
}

#[test]
fn helm_finds_nothing_wrong() {
    let Some(cluster) = Cluster::find() else { return };
    cluster.helm(&["lint", "--strict", &checkout("charts/saker")]).expect("a chart without fault");
    let wrong = ["lint", &checkout("charts/saker"), "--set", "agent.tolerationz=1"];
    cluster.helm(&wrong).expect_err("a value that does not exist is refused");
}

#[test]
fn the_api_server_takes_the_chart_with_other_values_too() {
    let Some(cluster) = Cluster::find() else { return };
    let values =
        ["--set", "agent.auditHostPort=0,agent.config.priority=warning,imagePullSecrets[0].name=registry"];
    for rendered in [render(&cluster, &[]), render(&cluster, &values)] {
        cluster.dry_run(&rendered).expect("objects that are taken");
    }
}

#[test]
fn deploy_is_what_the_chart_renders() {
    let Some(cluster) = Cluster::find() else { return };
    let path = checkout("deploy/saker.yaml");
    let wanted = format!("{HEADER}{}", render(&cluster, &[]));
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &wanted).expect("a writable checkout");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == wanted, "{path} is not what the chart renders: run UPDATE_EXPECT=1 make e2e");
}
