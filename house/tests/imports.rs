//! Imports go one way: each crate may use only the crates listed here (ARCHITECTURE.md, "Invariants").

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Our crates, and which of ours each may import.
const OURS: &[(&str, &[&str])] = &[
    ("saker-alert", &[]),
    ("saker-rulesets", &[]),
    ("saker-rules", &["saker-alert"]),
    ("saker-events", &["saker-rules"]),
    ("saker-audit-setup", &["saker-rules"]),
    ("saker-crds", &["saker-rules"]),
    ("saker-outputs", &["saker-alert"]),
    ("saker-capture", &["saker-events"]),
    ("saker-engine", &["saker-alert", "saker-capture", "saker-events", "saker-rules"]),
    ("saker-source-syscall", &["saker-events"]),
    ("saker-source-k8s-audit", &["saker-events"]),
    ("saker-containers", &["saker-events"]),
    ("saker-operator", &["saker-audit-setup", "saker-crds", "saker-events", "saker-rules", "saker-rulesets"]),
    (
        "saker-agent",
        &[
            "saker-alert",
            "saker-audit-setup",
            "saker-capture",
            "saker-containers",
            "saker-crds",
            "saker-engine",
            "saker-events",
            "saker-outputs",
            "saker-rules",
            "saker-rulesets",
            "saker-source-k8s-audit",
            "saker-source-syscall",
        ],
    ),
    (
        "saker-cli",
        &[
            "saker-alert",
            "saker-audit-setup",
            "saker-capture",
            "saker-containers",
            // `saker status` reads what the operator writes.
            "saker-crds",
            "saker-engine",
            "saker-events",
            "saker-rules",
            "saker-rulesets",
            "saker-source-k8s-audit",
            "saker-source-syscall",
        ],
    ),
    ("saker-image", &["saker-agent", "saker-cli", "saker-operator"]),
    ("saker-house", &[]),
    ("saker-e2e", &[]),
    ("saker-bench", &["saker-capture", "saker-engine", "saker-events", "saker-rules"]),
];

/// Crates of others that only some of ours may use directly.
const FENCED: &[(&str, &[&str])] = &[
    ("aya", &["saker-source-syscall"]),
    ("aya-obj", &["saker-source-syscall"]),
    // In the cli for `saker status` alone: it lists three kinds of objects, and writes nothing.
    ("kube", &["saker-operator", "saker-crds", "saker-agent", "saker-cli"]),
    ("tonic", &["saker-containers"]),
    // The end-to-end tests stand between the operator and the API server, and answer for simulated nodes.
    ("warp", &["saker-agent", "saker-operator", "saker-source-k8s-audit", "saker-e2e"]),
    ("reqwest", &["saker-outputs", "saker-operator", "saker-cli", "saker-e2e"]),
];

fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    metadata.packages.into_iter().map(|p| (p.name.to_string(), p)).collect()
}

fn imports(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    normal.map(|d| d.name.clone()).collect()
}

#[test]
fn our_crates_import_only_what_they_may() {
    let packages = packages();
    let known: BTreeSet<_> = OURS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(known, packages.keys().cloned().collect(), "list every crate in OURS");
    for (name, allowed) in OURS {
        let used: Vec<_> = imports(&packages[*name]).into_iter().filter(|d| known.contains(d)).collect();
        let wrong: Vec<_> = used.iter().filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not import {wrong:?}");
    }
}

#[test]
fn fenced_crates_stay_behind_their_fence() {
    for (name, package) in packages() {
        let used = imports(&package);
        for (fenced, allowed) in FENCED {
            let inside = !used.contains(*fenced) || allowed.contains(&name.as_str());
            assert!(inside, "{name} must not import {fenced}; go through {allowed:?}");
        }
    }
}

/// `kube` in the agent serves the bundle alone, so that nothing else there can grow an API client.
#[test]
fn kube_stays_in_the_agents_bundle_module() {
    let agent = saker_house::root().join("node-agent/src");
    for path in saker_house::sources(&[".rs"]).into_iter().filter(|p| p.starts_with(&agent)) {
        let text = std::fs::read_to_string(&path).expect("a readable source");
        let uses = text.contains("kube::") || text.contains("k8s_openapi::");
        assert!(!uses || path.to_string_lossy().contains("/bundle"), "{} uses kube", path.display());
    }
}
