//! The control plane that `e2e/control-plane.sh` started.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Namespace of the deployment.
pub const NAMESPACE: &str = "saker-system";

/// The node that the agent's pod is on.
pub const NODE: &str = "node-1";

/// A kube-apiserver, reached through kubectl.
#[derive(Debug, Clone)]
pub struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// The one that `make e2e` made, with everything of `deploy/saker.yaml` in it; says so if there is none.
    ///
    /// # Panics
    /// If the deployment is refused.
    pub fn find() -> Option<Self> {
        let Some(folder) = std::env::var_os("SAKER_E2E_DIR") else {
            crate::say("skipped: no control plane (run make e2e)");
            return None;
        };
        let cluster = Self { folder: folder.into() };
        // One with the address of a test's own operator cannot become what the deployment has.
        let webhook = ["delete", "validatingwebhookconfiguration", "saker-operator", "--ignore-not-found"];
        let removed = cluster.kubectl(&webhook);
        assert!(removed.is_ok(), "{removed:?}");
        let deployed = cluster.kubectl(&["apply", "-f", &checkout("deploy/saker.yaml")]);
        assert!(deployed.is_ok(), "{deployed:?}");
        let known = cluster.kubectl(&["wait", "--for=condition=Established", "--all", "crd"]);
        assert!(known.is_ok(), "{known:?}");
        Some(cluster)
    }

    /// The one with real nodes, of `e2e/node.sh` or `make kind-e2e`, with nothing of ours in it; says so if there is none.
    pub fn with_nodes() -> Option<Self> {
        let Some(folder) = std::env::var_os("SAKER_NODE_DIR") else {
            crate::say("skipped: no node (run make e2e; e2e/node.sh lacks says what this machine lacks)");
            return None;
        };
        // Empty in the part of `make e2e` that is not about nodes.
        (!folder.is_empty()).then(|| Self { folder: folder.into() })
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        run(self.tool("kubectl").args(args), "")
    }

    /// Applies an object.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        run(self.tool("kubectl").args(["apply", "-f", "-"]), yaml)
    }

    /// Makes an object; unlike `apply` kubectl keeps no copy in it, so that it may be large.
    pub fn create(&self, yaml: &str) -> anyhow::Result<String> {
        run(self.tool("kubectl").args(["create", "-f", "-"]), yaml)
    }

    /// Asks the API server what it would say to an object.
    pub fn dry_run(&self, yaml: &str) -> anyhow::Result<String> {
        run(self.tool("kubectl").args(["apply", "--dry-run=server", "-f", "-"]), yaml)
    }

    /// Gets an object; nothing if it is not there.
    pub fn get(&self, args: &[&str]) -> Option<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], args].concat()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Runs helm.
    pub fn helm(&self, args: &[&str]) -> anyhow::Result<String> {
        run(self.tool("helm").args(args), "")
    }

    /// Runs helm without a cluster.
    pub fn offline_helm(args: &[&str]) -> anyhow::Result<String> {
        run(tool("helm", Path::new("/dev/null")).args(args), "")
    }

    /// Credentials of a ServiceAccount of the deployment, so that its rights are what is tested.
    pub fn credentials(&self, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&["-n", NAMESPACE, "create", "token", account])?;
        let admin = fs::read_to_string(self.kubeconfig())?;
        let user =
            admin.lines().find(|line| line.starts_with("users:")).context("no users in admin.kubeconfig")?;
        let own = format!("users: [{{name: admin, user: {{token: {}}}}}]", token.trim());
        let path = self.folder.join(format!("{account}.kubeconfig"));
        fs::write(&path, admin.replace(user, &own))?;
        Ok(path)
    }

    /// Where the API server sends audit events: the agent's port.
    pub fn audit_port(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.join("audit-port"))?.trim().to_owned())
    }

    /// `stop` or `start`: the API server alone.
    pub fn api_server(&self, verb: &str) -> anyhow::Result<()> {
        let mut script = Command::new(checkout("e2e/control-plane.sh"));
        run(script.arg(verb).arg(&self.folder), "").map(|_| ())
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A file beside the control plane's own: certificates, kubeconfigs, ports.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn tool(&self, name: &str) -> Command {
        tool(name, &self.kubeconfig())
    }
}

/// A file of the checkout.
pub fn checkout(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A program of Kubernetes, with this kubeconfig: the one that control-plane.sh built, or else the machine's.
pub(crate) fn tool(name: &str, kubeconfig: &Path) -> Command {
    let cache = std::env::var_os("SAKER_CACHE").unwrap_or_else(|| "/var/cache/saker".into());
    let built = Path::new(&cache).join("bin").join(name);
    let mut command = Command::new(if built.exists() { built } else { name.into() });
    command.env("KUBECONFIG", kubeconfig);
    command
}

pub(crate) fn run(command: &mut Command, input: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    child.stdin.take().context("a pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
