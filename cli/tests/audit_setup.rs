//! `saker audit setup`: prints, checks, writes and takes back what a machine needs.

mod common;

use std::{fs, path::Path, process::Command};

use common::{Files, program, saker};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use saker_audit_setup::order::{self, Answer, Order, Outcome};

/// A machine with k3s.
fn k3s() -> Files {
    let root = Files::new([]);
    fs::create_dir_all(root.path("etc/rancher/k3s")).expect("a directory");
    root
}

fn setup(root: &Files, args: &[&str]) -> common::Ran {
    saker(["audit", "setup", "--root", &root.arg("")].iter().chain(args))
}

#[test]
fn nothing_is_written_unless_asked() {
    let root = k3s();
    let out = setup(&root, &[]).success();
    for part in ["# Distribution: k3s", "kube-apiserver-arg+:", "kind: Policy", "systemctl restart k3s"] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }
    assert!(!root.path("etc/rancher/k3s/saker").exists());
}

#[test]
fn what_is_written_passes_the_check_and_can_be_taken_back() {
    let root = k3s();
    let missing = setup(&root, &["--check"]).fails(1);
    assert!(missing.contains("90-saker-audit.yaml: missing or different"), "{missing}");
    setup(&root, &["--apply"]).success();
    assert!(Path::new(&root.arg("etc/rancher/k3s/config.yaml.d/90-saker-audit.yaml")).exists());
    let checked = setup(&root, &["--check"]).success();
    assert!(checked.contains("the running API server: not found"), "{checked}");
    let failed = Answer { revision: String::new(), outcome: Outcome::Failed, message: "why".to_owned() };
    order::set_answer(&root.path(""), Some(&failed)).expect("a writable directory");
    setup(&root, &["--undo"]).success();
    assert!(!root.path("etc/rancher/k3s/saker").exists());
    assert_eq!(order::answer(&root.path("")), None, "what failed before is done now");
}

#[test]
fn what_cannot_be_done_is_said() {
    let root = Files::new([("key.pem", "key")]);
    let key = root.arg("key.pem");
    let other = setup(&root, &["--apply"]).fails(1);
    assert!(other.contains("without --apply"), "{other}");
    let plain = setup(&root, &["--client-certificate", &key, "--client-key", &key]).fails(1);
    assert!(plain.contains("needs an https:// endpoint"), "{plain}");
    setup(&root, &["--apply", "--undo"]).fails(2);
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "not within a minute: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn an_order_is_carried_out_in_this_nodes_turn_and_taken_back() {
    let (root, orders) =
        (k3s(), Files::new([("audit-policy.yaml", "POLICY"), ("audit-webhook.kubeconfig", "KUBECONFIG")]));
    let order = |patch: bool, turn: &str| {
        let digest = order::digest("POLICY", "KUBECONFIG");
        let order =
            Order { patch, digest, revision: "1".to_owned(), turn: turn.to_owned(), ..Order::default() };
        fs::write(orders.path("order.json"), serde_json::to_string(&order).expect("JSON")).expect("an order");
    };
    order(true, "b");
    let args = ["audit", "setup", "--follow", &orders.arg(""), "--root", &root.arg(""), "--node", "a"]
        .map(str::to_owned);
    let mut child = Command::new(program()).args(args).spawn().expect("saker");
    let drop_in = root.path("etc/rancher/k3s/config.yaml.d/90-saker-audit.yaml");
    let answer = root.path("var/lib/saker/audit-setup/answer.json");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!drop_in.exists(), "it is another node's turn");
    order(true, "a");
    until("an answer", || fs::read_to_string(&answer).is_ok_and(|text| text.contains("Applied")));
    assert!(drop_in.exists());
    order(false, "a");
    until("it is taken back", || !drop_in.exists() && !answer.exists());
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGTERM).expect("a signal");
    assert!(child.wait().expect("an end").success());
}
