//! Each distribution's machine as data: what the plan writes there, and that it can be taken back.

use std::{collections::BTreeMap, fs, path::Path};

use saker_audit_setup::{Distribution, Endpoint, Machine, Plan, SetupError, Webhook, snippet};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    tree: BTreeMap<String, String>,
    #[serde(default)]
    distribution: String,
    #[serde(default)]
    by_hand: bool,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    steps: Vec<String>,
    error: Option<String>,
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("cases/setup.yaml")).expect("cases that parse");
    assert!(!cases.is_empty());
    cases
}

fn endpoint() -> Endpoint {
    let client = Some((b"certificate".to_vec(), b"key".to_vec()));
    Endpoint { url: "https://127.0.0.1:8765/k8s-audit".to_owned(), ca: Some(b"authority".to_vec()), client }
}

fn plan(root: &Path) -> Result<Plan, SetupError> {
    Plan::make(root, "POLICY".to_owned(), &endpoint())
}

fn machine(tree: &BTreeMap<String, String>) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, content) in tree {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
    root
}

/// Every file below a directory.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below the root").display().to_string();
                found.insert(name, fs::read_to_string(path).expect("text"));
            }
        }
    }
    found
}

/// A manifest is compared by what it means.
fn meaning(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|_| text.into())
}

/// A static pod without the digest of the files that it reads.
fn undigested(mut pod: Value) -> Value {
    let annotations = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some(annotations) = annotations else { return pod };
    let digest = annotations.remove("saker.dev/audit-files");
    assert_eq!(digest.and_then(|digest| digest.as_str().map(str::len)), Some(16));
    if annotations.is_empty() {
        pod.as_object_mut().map(|pod| pod.remove("metadata"));
    }
    pod
}

#[test]
fn each_distribution_gets_what_it_needs() {
    for case in cases() {
        let name = &case.name;
        let root = machine(&case.tree);
        let plan = match (plan(root.path()), &case.error) {
            (Ok(plan), None) => plan,
            (Err(error), Some(why)) => {
                assert!(error.to_string().contains(why), "{name}: {error}");
                continue;
            }
            (got, _) => panic!("{name}: {got:?}"),
        };
        assert_eq!(
            (plan.distribution.to_string(), plan.is_applicable()),
            (case.distribution, !case.by_hand),
            "{name}"
        );
        let got: BTreeMap<_, _> =
            plan.files.iter().map(|file| (file.path.clone(), undigested(meaning(&file.content)))).collect();
        let kubeconfig = endpoint().kubeconfig();
        let want = case
            .files
            .into_iter()
            .map(|(path, text)| (path, meaning(&text.replace("KUBECONFIG", &kubeconfig))));
        assert_eq!(got, want.collect(), "{name}");
        let steps = plan.steps.join("\n");
        for step in &case.steps {
            assert!(steps.contains(step), "{name}: no {step:?} in\n{steps}");
        }
        assert_eq!(tree(root.path()), case.tree, "{name}: a plan changes nothing");
    }
}

#[test]
fn what_is_applied_is_complete_and_can_be_taken_back() {
    for Case { name, tree: before, error, .. } in cases() {
        let root = machine(&before);
        let root = root.path();
        if error.is_some() {
            continue;
        }
        let first = plan(root).expect(&name);
        assert!(!first.missing(root).is_empty(), "{name}");
        for _twice in 0..2 {
            plan(root).expect(&name).apply(root, &mut || true).expect(&name);
            assert_eq!(
                plan(root).expect(&name).missing(root),
                Vec::<&saker_audit_setup::PlannedFile>::new(),
                "{name}"
            );
        }
        let manifests = fs::read_dir(root.join("etc/kubernetes/manifests")).into_iter().flatten().count();
        assert!(manifests <= 1, "{name}: kubelet starts every file there");
        plan(root).expect(&name).undo(root).expect(&name);
        assert_eq!(tree(root), before, "{name}");
    }
}

fn kubeadm() -> TempDir {
    machine(&cases().into_iter().find(|case| case.name == "kubeadm").expect("the case").tree)
}

const MANIFEST: &str = "etc/kubernetes/manifests/kube-apiserver.yaml";

#[test]
fn an_api_server_that_does_not_come_up_gets_its_manifest_back() {
    let root = kubeadm();
    let before = fs::read_to_string(root.path().join(MANIFEST)).expect("the manifest");
    let mut seen = String::new();
    let error = plan(root.path()).expect("a plan").apply(root.path(), &mut || {
        seen = fs::read_to_string(root.path().join(MANIFEST)).expect("the manifest");
        false
    });
    assert!(matches!(error, Err(SetupError::NotReady)), "{error:?}");
    assert!(seen.contains("--audit-webhook-mode=batch"), "{seen}");
    assert_eq!(fs::read_to_string(root.path().join(MANIFEST)).expect("the manifest"), before);
    plan(root.path()).expect("a plan").undo(root.path()).expect("nothing is left");
    assert_eq!(tree(root.path()).len(), 1);
}

fn with_policy(root: &Path, policy: &str) -> Plan {
    Plan::make(root, policy.to_owned(), &endpoint()).expect("a plan")
}

#[test]
fn another_policy_starts_the_static_pod_again_and_the_first_manifest_is_kept() {
    let root = kubeadm();
    let root = root.path();
    let before = tree(root);
    with_policy(root, "ONE").apply(root, &mut || true).expect("applied");
    let one = tree(root);
    // It does not come up: what worked before is there again.
    let failed = with_policy(root, "TWO").apply(root, &mut || false);
    assert!(matches!(failed, Err(SetupError::NotReady)), "{failed:?}");
    assert_eq!(tree(root), one);
    with_policy(root, "THREE").apply(root, &mut || true).expect("applied");
    assert_ne!(tree(root)[MANIFEST], one[MANIFEST]);
    with_policy(root, "THREE").undo(root).expect("taken back");
    assert_eq!(tree(root), before);
}

#[test]
fn a_file_that_somebody_changed_starts_the_static_pod_again() {
    let root = kubeadm();
    let root = root.path();
    with_policy(root, "ONE").apply(root, &mut || true).expect("applied");
    let first = tree(root);
    fs::write(root.join("etc/kubernetes/saker/audit-policy.yaml"), "TWO").expect("a policy");
    for _twice in 0..2 {
        with_policy(root, "ONE").apply(root, &mut || true).expect("applied");
        assert_ne!(tree(root)[MANIFEST], first[MANIFEST]);
        assert_eq!(with_policy(root, "ONE").missing(root), Vec::<&saker_audit_setup::PlannedFile>::new());
    }
}

#[test]
fn what_a_run_left_half_done_goes_back_to_the_first_manifest() {
    let root = kubeadm();
    let root = root.path();
    let before = fs::read_to_string(root.join(MANIFEST)).expect("the manifest");
    // As if it had been killed while it waited.
    with_policy(root, "ONE").apply(root, &mut || true).expect("applied");
    with_policy(root, "ONE").apply(root, &mut || false).expect_err("it does not come up");
    assert_eq!(fs::read_to_string(root.join(MANIFEST)).expect("the manifest"), before);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    name: String,
    tree: BTreeMap<String, String>,
    /// Absent if no API server is there.
    distribution: Option<String>,
    #[serde(default)]
    webhook: String,
    #[serde(default)]
    restart_required: bool,
    policy: Option<String>,
    log: Option<String>,
}

#[test]
fn a_machine_is_seen_as_it_is() {
    let cases: Vec<Seen> =
        serde_saphyr::from_str(include_str!("cases/machine.yaml")).expect("cases that parse");
    for case in cases {
        let name = &case.name;
        let root = machine(&case.tree);
        let Some(found) = Machine::look(root.path()) else {
            assert_eq!(case.distribution, None, "{name}");
            continue;
        };
        let webhook = match &found.webhook {
            Webhook::None => String::new(),
            Webhook::Saker => "saker".to_owned(),
            Webhook::Other(path) => path.clone(),
        };
        assert_eq!(
            (Some(found.distribution.to_string()), webhook),
            (case.distribution, case.webhook),
            "{name}"
        );
        assert_eq!(found.restart_required, case.restart_required, "{name}");
        assert_eq!(found.policy, case.policy, "{name}");
        assert_eq!(found.log.map(|path| path.display().to_string()), case.log, "{name}");
    }
}

#[test]
fn a_snippet_has_all_but_the_secret() {
    let secret = "kubectl get secret x";
    for (distribution, parts) in [
        (
            Distribution::Kubeadm,
            ["manifests/kube-apiserver.yaml", "- --audit-webhook-mode=batch", "kubeadm-config"],
        ),
        (
            Distribution::K3s,
            [
                "cat > /etc/rancher/k3s/config.yaml.d/90-saker-audit.yaml",
                "kube-apiserver-arg+:",
                "systemctl restart k3s",
            ],
        ),
        (Distribution::Talos, ["talosctl patch mc", "path: /var/etc/saker/audit-policy.yaml", "POLICY"]),
        (Distribution::Other, ["--audit-webhook-mode=batch", "POLICY", "managed API server"]),
    ] {
        let text = snippet(distribution, "POLICY\n", secret);
        for part in parts.into_iter().chain([secret, "POLICY"]) {
            assert!(text.contains(part), "{distribution}: no {part:?} in\n{text}");
        }
    }
}

#[test]
fn a_manifest_that_somebody_changed_is_left_alone() {
    let root = kubeadm();
    plan(root.path()).expect("a plan").apply(root.path(), &mut || true).expect("applied");
    let manifest = root.path().join(MANIFEST);
    let changed = fs::read_to_string(&manifest).expect("the manifest").replace("v1.35.4", "v1.36.0");
    fs::write(&manifest, &changed).expect("the manifest");
    let error = plan(root.path()).expect("a plan").undo(root.path());
    assert!(matches!(error, Err(SetupError::Changed(..))), "{error:?}");
    assert_eq!(fs::read_to_string(&manifest).expect("the manifest"), changed);
}

#[test]
fn only_root_may_read_the_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = kubeadm();
    plan(root.path()).expect("a plan").apply(root.path(), &mut || true).expect("applied");
    for (file, mode) in [("audit-webhook.kubeconfig", 0o600), ("audit-policy.yaml", 0o644)] {
        let path = root.path().join("etc/kubernetes/saker").join(file);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, mode, "{file}");
    }
    let kubeconfig = endpoint().kubeconfig();
    for part in ["\"client-key-data\":\"a2V5\"", "\"certificate-authority-data\":\"YXV0aG9yaXR5\""] {
        assert!(kubeconfig.contains(part), "{kubeconfig}");
    }
}
