//! What a distribution needs: files to write, a manifest to change, and what is left to a person.

use std::{fs, path::Path};

use crate::{
    Distribution, Endpoint, SetupError, apiserver,
    apiserver::flag,
    manifest,
    snippets::{self, Settings},
};

/// Files below [`Distribution::folder`].
const POLICY: &str = "audit-policy.yaml";
const KUBECONFIG: &str = "audit-webhook.kubeconfig";

/// The flag that names the policy, and the one that names the webhook.
pub(crate) const POLICY_FLAG: &str = "audit-policy-file";
pub(crate) const WEBHOOK_FLAG: &str = "audit-webhook-config-file";

/// Where kubelet looks for static pods, below the root.
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

/// How the webhook works (Kubernetes documentation, "Auditing"): in the background, because an agent that is down must
/// not stop the cluster, and with events no larger than the agent takes. The backoff stays at its default of 10 s: a
/// batch is tried five times, so an agent may be away for a minute before anything is lost.
const FLAGS: [(&str, &str); 4] = [
    ("audit-webhook-mode", "batch"),
    ("audit-webhook-batch-max-wait", "1s"),
    ("audit-webhook-truncate-enabled", "true"),
    ("audit-webhook-truncate-max-event-size", "262144"),
];

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

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its path on the machine.
    pub path: String,
    /// Its text.
    pub content: String,
    /// What it was, if it is changed and not made.
    pub original: Option<String>,
    /// Whether only root may read it.
    pub secret: bool,
}

impl Plan {
    /// The plan for the machine whose files lie below `root`.
    pub fn make(root: &Path, policy: String, endpoint: &Endpoint) -> Result<Self, SetupError> {
        let running = apiserver::running(root).into_iter().next().unwrap_or_default();
        let distribution = Distribution::detect(root, &running);
        let manifest = if uses_static_pod(distribution) { Some(read(root, MANIFEST)?) } else { None };
        let present = manifest.as_deref().map_or(Ok(running), manifest::arguments)?;
        let folder = distribution.folder();
        let (policy_path, webhook_path) = (format!("{folder}/{POLICY}"), format!("{folder}/{KUBECONFIG}"));
        if let Some(other) = flag(&present, WEBHOOK_FLAG).filter(|path| *path != webhook_path) {
            return Err(SetupError::OtherWebhook(other.to_owned()));
        }
        let theirs = flag(&present, POLICY_FLAG).filter(|path| *path != policy_path).map(str::to_owned);
        let mut files = vec![file(webhook_path.clone(), endpoint.kubeconfig(), true)];
        let mut flags = vec![(WEBHOOK_FLAG.to_owned(), webhook_path)];
        if theirs.is_none() {
            files.insert(0, file(policy_path.clone(), policy, false));
            flags.insert(0, (POLICY_FLAG.to_owned(), policy_path));
        }
        flags.extend(FLAGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let settings = Settings { distribution, folder, flags: &flags, files: &files };
        let mut steps: Vec<_> = theirs.iter().map(|path| snippets::keep_policy(path)).collect();
        steps.extend(settings.steps(root));
        if let Some(drop_in) = settings.drop_in() {
            files.push(drop_in);
        }
        if let Some(original) = manifest {
            let content = manifest::patch(&original, &flags, folder)?;
            files.push(PlannedFile { original: Some(original), ..file(MANIFEST.to_owned(), content, false) });
        }
        Ok(Self { distribution, files, steps })
    }

    /// Whether the files can be written on the machine itself; if not, the steps say where they go.
    pub fn is_applicable(&self) -> bool {
        !matches!(self.distribution, Distribution::Talos | Distribution::Minikube | Distribution::Other)
    }

    /// Whether one of these API servers sends its events by this plan's webhook. A container's root may lie anywhere
    /// in the machine's.
    pub fn is_webhook_of_any(&self, running: &[Vec<String>]) -> bool {
        let webhook = format!("{}/{KUBECONFIG}", self.distribution.folder());
        running
            .iter()
            .filter_map(|arguments| flag(arguments, WEBHOOK_FLAG))
            .any(|path| path.ends_with(&webhook))
    }

    /// The static pod that is changed.
    pub fn manifest(&self) -> Option<&PlannedFile> {
        self.files.iter().find(|file| file.path == MANIFEST)
    }
}

const fn uses_static_pod(distribution: Distribution) -> bool {
    matches!(distribution, Distribution::Kubeadm | Distribution::Kind)
}

pub(crate) const fn file(path: String, content: String, secret: bool) -> PlannedFile {
    PlannedFile { path, content, original: None, secret }
}

/// A file of the machine whose files lie below `root`.
pub(crate) fn read(root: &Path, path: &str) -> Result<String, SetupError> {
    let place = place(root, path);
    fs::read_to_string(&place).map_err(|error| SetupError::Io("read", place, error))
}

/// Where a path of the machine is below `root`.
pub(crate) fn place(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}
