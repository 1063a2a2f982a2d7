//! `saker audit setup`: prints, checks, writes and takes back what a machine needs.

mod common;

use std::{fs, path::Path};

use common::{Files, saker};

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
    setup(&root, &["--undo"]).success();
    assert!(!root.path("etc/rancher/k3s/saker").exists());
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
