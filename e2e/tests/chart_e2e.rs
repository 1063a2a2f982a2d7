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
    let args = ["template", "saker", &chart, "--namespace", "saker-system", "--include-crds", "--no-hooks"];
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
    let others = [
        "agent.config.priority=warning,imagePullSecrets[0].name=registry",
        "agent.auditHostPort=8765,agent.privileged=true,operator.replicas=2",
        "profile=edge,networkPolicy.enabled=false,monitoring.dashboards.enabled=false",
    ];
    cluster.dry_run(&render(&cluster, &[])).expect("objects that are taken");
    for values in others {
        let taken = cluster.dry_run(&render(&cluster, &["--set", values]));
        taken.unwrap_or_else(|e| panic!("{values}: {e:#}"));
    }
}

#[test]
fn a_profile_gives_way_to_values() {
    let Some(cluster) = Cluster::find() else { return };
    let edge = render(&cluster, &["--set", "profile=edge"]);
    assert!(edge.contains("buf_size_preset: 2") && edge.contains("memory: 192Mi"), "{edge}");
    let values =
        ["--set", "profile=edge,agent.resources.limits.memory=1Gi,agent.config.engine.kind=nodriver"];
    let own = render(&cluster, &values);
    assert!(own.contains("memory: 1Gi") && !own.contains("192Mi"), "{own}");
    assert!(own.contains("kind: nodriver") && own.contains("buf_size_preset: 2"), "{own}");
    let unknown = ["lint", &checkout("charts/saker"), "--set", "profile=cloud"];
    cluster.helm(&unknown).expect_err("a profile that does not exist is refused");
}

/// The port of a node cannot be shared, so that agents surge only where they take none.
#[test]
fn agents_surge_unless_they_take_a_port_of_the_node() {
    let Some(cluster) = Cluster::find() else { return };
    for (port, surges) in [(0, true), (8765, false)] {
        let rendered = render(&cluster, &["--set", &format!("agent.auditHostPort={port}")]);
        assert_eq!(rendered.contains("maxSurge"), surges, "{rendered}");
        assert_eq!(rendered.contains("hostPort: 8765"), !surges, "{rendered}");
    }
}

#[test]
fn monitors_are_made_where_their_kinds_exist() {
    let Some(cluster) = Cluster::find() else { return };
    let with = render(&cluster, &["--api-versions", "monitoring.coreos.com/v1"]);
    let without = render(&cluster, &[]);
    for kind in ["kind: PodMonitor", "kind: PrometheusRule"] {
        assert!(with.contains(kind) && !without.contains(kind), "{kind}");
    }
    assert!(without.contains("grafana_dashboard: \"1\""), "the dashboard needs no such kind");
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
