//! What a machine's API server does with its audit events.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::{
    Distribution,
    apiserver::{Process, flag},
    files::place,
    flags::{KUBECONFIG, POLICY_FLAG, WEBHOOK_FLAG, read_at_start},
    plan,
};

/// The flag that names the log file.
const LOG_FLAG: &str = "audit-log-path";
/// Bytes of a policy that are looked at.
const MAX_POLICY: u64 = 64 << 10;
/// The kernel's time of boot is a whole second; files that are this much newer than a process were not read by it.
const TOLERANCE: u64 = 2;

/// The API server of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What runs there.
    pub distribution: Distribution,
    /// Where its events are posted, now or from the next start on.
    pub webhook: Webhook,
    /// Whether it has to be started again to do so.
    pub restart_required: bool,
    /// The policy in force.
    pub policy: Option<String>,
    /// The log file, as the machine's root sees it.
    pub log: Option<PathBuf>,
}

/// Where an API server posts its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Webhook {
    /// Nowhere.
    None,
    /// To Saker.
    Saker,
    /// Where this kubeconfig says.
    Other(String),
}

impl Machine {
    /// Whether the API server that runs sends its events to Saker.
    pub fn sends(&self) -> bool {
        self.webhook == Webhook::Saker && !self.restart_required
    }

    /// Looks at the machine whose files lie below `root`; nothing if no API server is there.
    pub fn look(root: &Path) -> Option<Self> {
        let (distribution, processes) = plan::detect(root);
        let manifest = plan::static_pod(root, distribution);
        if processes.is_empty() && manifest.is_none() {
            return None;
        }
        let present = plan::present(root, distribution, &processes, manifest.as_deref()).ok()?;
        let webhook = webhook(&present, distribution);
        let process = own(&processes, distribution);
        let restart_required =
            webhook == Webhook::Saker && !process.is_some_and(|p| has_read(root, p, distribution));
        let policy = flag(&present, POLICY_FLAG).and_then(|path| policy(root, &processes, path));
        let log = log(root, &present, distribution);
        Some(Self { distribution, webhook, restart_required, policy, log })
    }
}

fn webhook(present: &[String], distribution: Distribution) -> Webhook {
    let ours = format!("{}/{KUBECONFIG}", distribution.folder());
    match flag(present, WEBHOOK_FLAG) {
        None => Webhook::None,
        Some(path) if path == ours => Webhook::Saker,
        Some(path) => Webhook::Other(path.to_owned()),
    }
}

/// The process that was started with our webhook; of k3s, whose command line does not tell, the only one.
fn own(processes: &[Process], distribution: Distribution) -> Option<&Process> {
    if distribution.is_k3s() {
        return processes.first();
    }
    let ours = format!("{}/{KUBECONFIG}", distribution.folder());
    processes.iter().find(|p| flag(&p.arguments, WEBHOOK_FLAG).is_some_and(|path| path.ends_with(&ours)))
}

/// Whether no file that is read at the start is newer than the process.
fn has_read(root: &Path, process: &Process, distribution: Distribution) -> bool {
    let written = |path: &String| {
        let time = place(root, path).metadata().and_then(|file| file.modified()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
    };
    let newest = read_at_start(distribution).iter().filter_map(written).max().unwrap_or_default();
    newest <= process.started.saturating_add(TOLERANCE)
}

/// As the API server sees it, or else as the machine does.
fn policy(root: &Path, processes: &[Process], path: &str) -> Option<String> {
    // In its container the path may lead elsewhere than on the machine.
    let seen = |process: &Process| {
        let own = flag(&process.arguments, POLICY_FLAG).filter(|own| own.ends_with(path))?;
        head(&place(&process.folder.join("root"), own))
    };
    processes.iter().find_map(seen).or_else(|| head(&place(root, path)))
}

fn head(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_POLICY).read_to_string(&mut text).ok()?;
    Some(text)
}

fn log(root: &Path, present: &[String], distribution: Distribution) -> Option<PathBuf> {
    match flag(present, LOG_FLAG) {
        // Standard output.
        Some("-") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => Some(distribution.log())
            .filter(|path| !path.is_empty() && place(root, path).exists())
            .map(PathBuf::from),
    }
}
