//! What the chart starts for an AuditSink, around one [`Node`]: the operator, the node's agent and its set-up pod. The
//! operator and the objects are in the control plane, so that they go on while the node's API server does not.

use std::{collections::BTreeMap, ffi::OsStr, fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Cluster, Node, Process,
    cluster::NAMESPACE,
    node::{free_port, write},
};

/// Name of the node.
const NODE: &str = "node-1";
/// Seconds that an API server may take to become ready.
const PATIENCE: &str = "45";

/// The programs, and the folders that kubelet would mount.
pub struct Sink {
    /// The operator.
    pub operator: Process,
    /// The agent on the node.
    pub agent: Process,
    /// The pod that changes the node.
    pub setup: Process,
    cluster: Cluster,
    folder: TempDir,
    port: u16,
}

impl Sink {
    /// Starts all of them; an AuditSink of an earlier test goes first.
    pub fn start(cluster: &Cluster, node: &Node) -> anyhow::Result<Self> {
        cluster.kubectl(&["delete", "auditsinks", "--all"])?;
        cluster.kubectl(&[
            "-n",
            NAMESPACE,
            "delete",
            "configmap",
            "saker-audit-sink",
            "--ignore-not-found",
        ])?;
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let mounts = folder.path().join("mounts");
        fs::create_dir_all(&mounts)?;
        let (mounted, root) = (mounts.display().to_string(), node.root().display().to_string());
        let config = folder.path().join("saker.yaml");
        write(
            &config,
            &format!(
                "json_output: true\nrules_files: [built-in]\nstate_dir: {}\nwebserver: {{listen_port: {}}}\nk8s_audit: \
                 {{sink_folder: {mounted}, sink_listen: \"127.0.0.1:{port}\"}}\n",
                folder.path().join("state").display(),
                node.audit_port
            ),
        )?;
        let args =
            ["--config", &config.display().to_string(), "--disable-source", "syscall"].map(str::to_owned);
        let env = [("HOST_ROOT", node.root().as_os_str()), ("FALCO_HOSTNAME", OsStr::new(NODE))];
        let none = PathBuf::new();
        let agent = Process::start_with("saker-agent", folder.path(), &none, args, &env)?;
        let args =
            ["audit", "setup", "--follow", &mounted, "--root", &root, "--node", NODE, "--timeout", PATIENCE];
        let setup = Process::start("saker", folder.path(), &none, args)?;
        let (url, endpoint) =
            (format!("http://127.0.0.1:{}", node.audit_port), format!("https://127.0.0.1:{port}/k8s-audit"));
        let args = [
            "--namespace",
            NAMESPACE,
            "--listen",
            "127.0.0.1:0",
            "--agent-url",
            &url,
            "--audit-endpoint",
            &endpoint,
        ];
        let operator =
            Process::start("saker-operator", folder.path(), &cluster.credentials("saker-operator")?, args)?;
        Ok(Self { operator, agent, setup, cluster: cluster.clone(), folder, port })
    }

    /// Makes the one AuditSink say this.
    pub fn apply(&self, spec: &str) -> anyhow::Result<String> {
        let head = "apiVersion: saker.dev/v1alpha1\nkind: AuditSink\nmetadata: {name: cluster}\n";
        self.cluster.apply(&format!("{head}spec: {spec}\n"))
    }

    /// Does what kubelet does meanwhile, and gives the status.
    pub fn status(&self) -> Option<Value> {
        self.mount();
        Some(self.cluster.get(&["auditsink", "cluster"])?["status"].clone())
    }

    /// A condition with its reason, `True AllNodes`.
    pub fn condition(&self, type_: &str) -> Option<String> {
        let status = self.status()?;
        let found = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)?;
        Some(format!("{} {}", found["status"].as_str()?, found["reason"].as_str()?))
    }

    /// Brings the mounted files up to date, as kubelet does within a minute.
    pub fn mount(&self) {
        for (kind, name) in [
            ("configmap", "saker-audit-sink"),
            ("secret", "saker-audit-client"),
            ("secret", "saker-audit-server"),
        ] {
            let object = self.cluster.get(&["-n", NAMESPACE, kind, name]).unwrap_or_default();
            let files: BTreeMap<String, String> =
                serde_json::from_value(object["data"].clone()).unwrap_or_default();
            for (file, text) in files {
                let text = if kind == "secret" { decoded(&text) } else { text };
                let path = self.folder.path().join("mounts").join(file);
                if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                    // The next round tries again.
                    let _ = fs::write(path, text);
                }
            }
        }
    }

    /// The status that the agent's HTTPS endpoint gives to whoever shows no certificate.
    pub fn post_as_a_stranger(&self) -> anyhow::Result<String> {
        let ca = self.folder.path().join("mounts/ca.crt").display().to_string();
        let url = format!("https://127.0.0.1:{}/k8s-audit", self.port);
        let args = ["-sS", "--cacert", &ca, "-d", "{}", "-o", "/dev/null", "-w", "%{http_code}", &url];
        crate::cluster::run(std::process::Command::new("curl").args(args), "")
    }

    /// What all of them logged.
    pub fn logs(&self) -> String {
        let parts = [("operator", &self.operator), ("agent", &self.agent), ("setup", &self.setup)];
        let status = format!("{:#}\n", self.status().unwrap_or_default());
        let logs = parts.map(|(name, process)| format!("--- {name}\n{}\n", process.log()));
        logs.concat() + &status
    }
}

fn decoded(base64: &str) -> String {
    let mut command = std::process::Command::new("base64");
    crate::cluster::run(command.arg("-d"), base64).unwrap_or_default()
}
