//! The API server's audit events reach the agent, and the default rules see what is in them.

use saker_e2e::{Cluster, Fleet, eventually};

const RULE: &str = "ConfigMap with a private credential";

#[test]
fn credentials_in_a_configmap_raise_an_alert() {
    let Some(cluster) = Cluster::find() else { return };
    let fleet = Fleet::start(&cluster, &["--disable-source", "syscall"]).expect("a fleet");
    cluster.kubectl(&["delete", "configmap", "aws-creds", "--ignore-not-found"]).expect("kubectl");
    let create = ["create", "configmap", "aws-creds", "--from-literal", "aws_access_key_id=AKES20LNOA"];
    cluster.kubectl(&create).expect("kubectl");
    // The API server sends a batch each second.
    let why = || format!("{:#}\n{}", fleet.agent_status().unwrap_or_default(), fleet.logs());
    let alert = eventually("kubectl create configmap to the alert", why, || fleet.agent.alerts(RULE).pop());
    assert_eq!(alert["output_fields"]["ka.target.name"], "aws-creds", "{alert}");
    cluster.kubectl(&["delete", "configmap", "aws-creds"]).expect("kubectl");
}
