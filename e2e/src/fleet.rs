//! The operator and an agent, as the deployment runs them: each with the rights of its ServiceAccount.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Cluster, Process, cluster::NAMESPACE, eventually};

/// One operator and one agent.
pub struct Fleet {
    /// The agent.
    pub agent: Process,
    /// The operator.
    pub operator: Process,
    cluster: Cluster,
    folder: TempDir,
    agent_args: Vec<String>,
    agent_credentials: PathBuf,
}

impl Fleet {
    /// Starts both, and waits until the agent runs the bundle. FalcoRules, bundles and the Lease of earlier
    /// tests go first.
    ///
    /// # Panics
    /// If they do not come up.
    pub fn start(cluster: &Cluster, extra: &[&str]) -> anyhow::Result<Self> {
        cluster.kubectl(&["delete", "falcorules,falcoruleexceptions", "--all", "--all-namespaces"])?;
        cluster.kubectl(&["-n", NAMESPACE, "delete", "configmaps", "-l", "saker.dev/bundle"])?;
        cluster.kubectl(&["-n", NAMESPACE, "delete", "lease", "saker-operator", "--ignore-not-found"])?;
        let folder = tempfile::tempdir()?;
        let port = cluster.audit_port()?;
        announce_agent(cluster, &port)?;
        let agent_credentials = cluster.credentials("saker-agent")?;
        let config = folder.path().join("saker.yaml");
        fs::write(&config, configuration(&port, &agent_credentials, &folder))?;
        let mut agent_args = vec!["--config".to_owned(), config.display().to_string()];
        agent_args.extend(extra.iter().map(|arg| (*arg).to_owned()));
        let agent = Process::start("saker-agent", folder.path(), &agent_credentials, &agent_args)?;
        let operator = operator(cluster, &folder, &[])?;
        let fleet = Self { agent, operator, cluster: cluster.clone(), folder, agent_args, agent_credentials };
        fleet.converge("the agent runs the operator's bundle");
        Ok(fleet)
    }

    /// Waits until the agent runs what the manifest announces, and the operator has nothing left to do.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn converge(&self, what: &str) {
        eventually(
            what,
            || self.logs(),
            || {
                let announced = self.manifest()?;
                (self.agent_status()?["bundle"] == announced["hash"]).then_some(())
            },
        );
    }

    /// What the manifest in the cluster says.
    pub fn manifest(&self) -> Option<Value> {
        let map = self.cluster.get(&["-n", NAMESPACE, "configmap", "saker-manifest"])?;
        serde_json::from_str(map["data"]["manifest.json"].as_str()?).ok()
    }

    /// The agent's `/status`.
    pub fn agent_status(&self) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/status", self.cluster.audit_port().ok()?);
        let answer = Command::new("curl").args(["-fsS", "--max-time", "2", &url]).output().ok()?;
        serde_json::from_slice(&answer.stdout).ok()
    }

    /// The agent again, after it was stopped.
    pub fn start_agent(&mut self) -> anyhow::Result<()> {
        self.agent =
            Process::start("saker-agent", self.folder.path(), &self.agent_credentials, &self.agent_args)?;
        Ok(())
    }

    /// The operator again, with its admission webhook.
    pub fn restart_operator_with_webhook(&mut self) -> anyhow::Result<()> {
        let address = free_address()?;
        self.restart_operator(&["--webhook-listen", &address, "--webhook-address", &address])
    }

    /// The operator again, with these arguments too.
    pub fn restart_operator(&mut self, args: &[&str]) -> anyhow::Result<()> {
        self.operator.stop()?;
        self.operator = operator(&self.cluster, &self.folder, args)?;
        Ok(())
    }

    /// A second operator beside the first.
    pub fn second_operator(&self) -> anyhow::Result<Process> {
        operator(&self.cluster, &self.folder, &[])
    }

    /// What both logged.
    pub fn logs(&self) -> String {
        format!("--- operator\n{}\n--- agent\n{}", self.operator.log(), self.agent.log())
    }
}

fn operator(cluster: &Cluster, folder: &TempDir, more: &[&str]) -> anyhow::Result<Process> {
    start_operator(folder.path(), &cluster.credentials("saker-operator")?, more)
}

/// An operator with these credentials; its log goes to the folder.
pub fn start_operator(folder: &Path, kubeconfig: &Path, more: &[&str]) -> anyhow::Result<Process> {
    let args = [&["--namespace", NAMESPACE, "--listen", "127.0.0.1:0"], more].concat();
    Process::start("saker-operator", folder, kubeconfig, args)
}

/// An address that nobody listens on, for a listener that must be announced before it is there. No other program takes its
/// port meanwhile.
fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.2:0")?.local_addr()?.to_string())
}

/// The pod by which the operator finds the agent.
fn announce_agent(cluster: &Cluster, port: &str) -> anyhow::Result<()> {
    cluster.apply(&include_str!("../tests/objects/agent_pod.yaml").replace("PORT", port))?;
    let running =
        r#"{"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}"#;
    let status = ["-n", NAMESPACE, "patch", "pod", "agent", "--subresource", "status", "-p", running];
    cluster.kubectl(&status).map(|_| ())
}

/// Nothing from /etc/saker, and alerts that a test can read.
fn configuration(port: &str, credentials: &std::path::Path, folder: &TempDir) -> String {
    format!(
        "json_output: true\n\
         rules_files: [built-in]\n\
         state_dir: {}\n\
         webserver: {{listen_address: 127.0.0.1, listen_port: {port}}}\n\
         kubernetes: {{enabled: true, kubeconfig: {}, namespace: {NAMESPACE}}}\n",
        folder.path().join("state").display(),
        credentials.display(),
    )
}
