//! What the agents of a release say: their logs, followed from pod to pod, so that no alert is missed when one agent
//! takes over from another.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Cluster, cluster::NAMESPACE};

/// Which pods are agents.
pub const AGENTS: &str = "app.kubernetes.io/component=agent";
/// How often it is looked whether there is a new one.
const PAUSE: Duration = Duration::from_millis(300);

/// Follows until it is dropped.
pub struct Alerts {
    folder: TempDir,
    ended: Arc<AtomicBool>,
    /// The pods followed, by name.
    pods: Arc<Mutex<BTreeMap<String, Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Alerts {
    /// Begins with the agents there are.
    pub fn follow(cluster: &Cluster) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (ended, pods) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let thread = thread::spawn({
            let (cluster, ended, pods) = (cluster.clone(), Arc::clone(&ended), Arc::clone(&pods));
            let path = folder.path().to_owned();
            move || {
                while !ended.load(Ordering::Relaxed) {
                    follow_new(&cluster, &path, &pods);
                    thread::sleep(PAUSE);
                }
            }
        });
        Ok(Self { folder, ended, pods, thread: Some(thread) })
    }

    /// The alerts so far of a rule.
    pub fn of(&self, rule: &str) -> Vec<Value> {
        let text = self.text();
        let alerts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        alerts.filter(|alert| alert["rule"] == rule).collect()
    }

    /// All that the agents said so far.
    pub fn text(&self) -> String {
        let files = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        files.map(|file| fs::read_to_string(file.path()).unwrap_or_default()).collect()
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its work is done either way.
            let _ = thread.join();
        }
        for child in self.pods.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            // It may have ended with its pod.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn follow_new(cluster: &Cluster, folder: &Path, pods: &Mutex<BTreeMap<String, Child>>) {
    let running = ["-n", NAMESPACE, "pods", "-l", AGENTS, "--field-selector=status.phase=Running"];
    let found = cluster.get(&running).unwrap_or_default();
    let mut pods = pods.lock().unwrap_or_else(PoisonError::into_inner);
    for pod in found["items"].as_array().into_iter().flatten() {
        let Some(name) = pod["metadata"]["name"].as_str() else { continue };
        let followed = pods.get_mut(name).is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        // Following again begins at the start, in a new file: what the first one has may be gone from the pod.
        if !followed && let Ok(child) = follow_pod(cluster, name, folder) {
            pods.insert(name.to_owned(), child);
        }
    }
}

fn follow_pod(cluster: &Cluster, name: &str, folder: &Path) -> anyhow::Result<Child> {
    let (file, _) = tempfile::Builder::new().prefix(name).tempfile_in(folder)?.keep()?;
    let mut command = cluster.tool("kubectl");
    command.args(["-n", NAMESPACE, "logs", "-f", name]);
    Ok(command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn()?)
}
