//! What a distribution needs: files to write, a manifest to change, and what is left to a person.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{
    Distribution, Endpoint, SetupError, apiserver,
    apiserver::{Process, flag},
    files::{PlannedFile, file, is_there, read},
    flags::{FLAGS, KUBECONFIG, POLICY, POLICY_FLAG, WEBHOOK_FLAG},
    manifest,
    order::hex,
    snippets::{self, Settings},
};

/// Where kubelet looks for static pods, below the root.
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

/// What to do on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What runs there.
    pub distribution: Distribution,
    /// Files to write; a static pod among them is the last.
    pub files: Vec<PlannedFile>,
    /// What a person has to do, before or after.
    pub steps: Vec<String>,
}

impl Plan {
    /// The plan for the machine whose files lie below `root`.
    pub fn make(root: &Path, policy: String, endpoint: &Endpoint) -> Result<Self, SetupError> {
        Self::with_kubeconfig(root, policy, endpoint.kubeconfig())
    }

    /// The same with a kubeconfig that is made already.
    pub fn with_kubeconfig(root: &Path, policy: String, kubeconfig: String) -> Result<Self, SetupError> {
        let (distribution, running) = detect(root);
        let manifest = if uses_static_pod(distribution) { Some(read(root, MANIFEST)?) } else { None };
        let present = present(root, distribution, &running, manifest.as_deref())?;
        let folder = distribution.folder();
        let (policy_path, webhook_path) = (format!("{folder}/{POLICY}"), format!("{folder}/{KUBECONFIG}"));
        if let Some(other) = flag(&present, WEBHOOK_FLAG).filter(|path| *path != webhook_path) {
            return Err(SetupError::OtherWebhook(other.to_owned()));
        }
        let theirs = flag(&present, POLICY_FLAG).filter(|path| *path != policy_path).map(str::to_owned);
        let mut files = vec![file(webhook_path.clone(), kubeconfig, true)];
        let mut flags = vec![(WEBHOOK_FLAG.to_owned(), webhook_path)];
        if theirs.is_none() {
            files.insert(0, file(policy_path.clone(), policy, false));
            flags.insert(0, (POLICY_FLAG.to_owned(), policy_path));
        }
        flags.extend(FLAGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let settings = Settings { distribution, folder, flags: &flags, files: &files };
        let mut steps: Vec<_> = theirs.iter().map(|path| snippets::keep_policy(path)).collect();
        steps.extend(settings.steps(Some(root)));
        if let Some(drop_in) = settings.drop_in() {
            files.push(drop_in);
        }
        if let Some(original) = manifest {
            let content = manifest::patch(&original, &flags, folder, &mark(root, &files, &original))?;
            files.push(PlannedFile { original: Some(original), ..file(MANIFEST.to_owned(), content, false) });
        }
        Ok(Self { distribution, files, steps })
    }

    /// Whether the files can be written on the machine itself; if not, the steps say where they go.
    pub fn is_applicable(&self) -> bool {
        !matches!(self.distribution, Distribution::Talos | Distribution::Minikube | Distribution::Other)
    }

    /// The arguments of the API server that the plan is for: by them it is asked whether it is ready.
    pub fn arguments(&self, root: &Path) -> Vec<String> {
        let written = self.manifest().and_then(|file| manifest::arguments(&file.content).ok());
        written.unwrap_or_else(|| {
            let configured = apiserver::configured(root, self.distribution);
            configured.into_iter().chain(self.distribution.readiness()).collect()
        })
    }

    /// The static pod that is changed.
    pub fn manifest(&self) -> Option<&PlannedFile> {
        self.files.iter().find(|file| file.path == MANIFEST)
    }
}

/// What runs on a machine, with the processes that may be its API server.
pub(crate) fn detect(root: &Path) -> (Distribution, Vec<Process>) {
    let processes = apiserver::processes(root);
    let arguments = processes.first().map(|process| process.arguments.as_slice()).unwrap_or_default();
    let distribution = Distribution::detect(root, arguments);
    (distribution, apiserver::of_distribution(processes, distribution))
}

/// The arguments that the API server has at its next start.
pub(crate) fn present(
    root: &Path,
    distribution: Distribution,
    running: &[Process],
    manifest: Option<&str>,
) -> Result<Vec<String>, SetupError> {
    let running = || Ok(running.first().map(|process| process.arguments.clone()).unwrap_or_default());
    let written = manifest.map_or_else(running, manifest::arguments)?;
    Ok(written.into_iter().chain(apiserver::configured(root, distribution)).collect())
}

/// The manifest of the static pod, if this is one.
pub(crate) fn static_pod(root: &Path, distribution: Distribution) -> Option<String> {
    uses_static_pod(distribution).then(|| read(root, MANIFEST).ok()).flatten()
}

/// What stands in the static pod, so that it starts again when a file changed that it reads at its start alone; also
/// when somebody else changed the file.
fn mark(root: &Path, files: &[PlannedFile], manifest: &str) -> String {
    let digest = digest(files);
    match manifest::mark(manifest).filter(|present| present.starts_with(&digest)) {
        Some(present) if files.iter().all(|file| is_there(root, file)) => present,
        Some(present) if present == digest => digest + "-again",
        _ => digest,
    }
}

fn digest(files: &[PlannedFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.content.as_bytes());
    }
    let mut hex = hex(&hash.finalize());
    hex.truncate(16);
    hex
}

const fn uses_static_pod(distribution: Distribution) -> bool {
    matches!(distribution, Distribution::Kubeadm | Distribution::Kind)
}
