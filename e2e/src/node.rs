//! A control-plane node as kubeadm leaves it: certificates, the manifest of a static pod, and a kubelet of a few lines
//! that runs what the manifest says. Or one of k3s: its configuration, and a systemd of a few lines.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Cluster, Process, checkout,
    cluster::{run, tool},
    eventually, within,
};

const MANIFEST: &str = "etc/kubernetes/manifests/kube-apiserver.yaml";
/// That of a static pod.
const GRACE: Duration = Duration::from_secs(30);
const K3S: &str = "etc/rancher/k3s";

/// What is on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A static pod, started again when its manifest changes.
    Kubeadm,
    /// One process that reads its configuration at its start.
    K3s,
}

/// A node with an API server of its own, whose data lie in the etcd of the control plane.
pub struct Node {
    root: TempDir,
    cluster: Cluster,
    ended: Arc<AtomicBool>,
    kubelet: Option<JoinHandle<()>>,
    pub(crate) audit_port: u16,
}

impl Node {
    /// Starts the API server, without audit.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::start_as(cluster, Kind::Kubeadm)
    }

    /// The same for another distribution.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start_as(cluster: &Cluster, kind: Kind) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let (port, audit_port) = (free_port()?, free_port()?);
        let pki = root.path().join("etc/kubernetes/pki");
        fs::create_dir_all(&pki)?;
        for file in ["ca.crt", "apiserver.crt", "apiserver.key", "sa.key", "sa.pub"] {
            fs::copy(cluster.file(file), pki.join(file))?;
        }
        let etcd = fs::read_to_string(cluster.file("etcd-port"))?;
        let manifest = include_str!("../tests/objects/kube_apiserver.yaml");
        let manifest = manifest.replace("PORT", &port.to_string()).replace("ETCD", etcd.trim());
        match kind {
            Kind::Kubeadm => write(&root.path().join(MANIFEST), &manifest)?,
            Kind::K3s => configure_k3s(root.path(), &manifest)?,
        }
        // The processes of the node are those of the machine.
        std::os::unix::fs::symlink("/proc", root.path().join("proc"))?;
        let old = format!(":{}", fs::read_to_string(cluster.file("apiserver-port"))?.trim());
        let admin = fs::read_to_string(cluster.file("admin.kubeconfig"))?.replace(&old, &format!(":{port}"));
        write(&root.path().join("admin.kubeconfig"), &admin)?;
        let ended = Arc::new(AtomicBool::new(false));
        let kubelet = Some(thread::spawn({
            let (ended, root) = (Arc::clone(&ended), root.path().to_owned());
            move || match kind {
                Kind::Kubeadm => kubelet(&root, &ended),
                Kind::K3s => systemd(&root, &ended),
            }
        }));
        let node = Self { root, cluster: cluster.clone(), ended, kubelet, audit_port };
        let ready = || node.kubectl("admin", &["get", "--raw", "/readyz"], "").ok();
        eventually("the node's API server is ready", || node.log(), ready);
        Ok(node)
    }

    /// Where the node's files lie.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The static pod as it is now.
    pub fn manifest(&self) -> String {
        fs::read_to_string(self.root().join(MANIFEST)).unwrap_or_default()
    }

    /// Where its audit events are to go.
    fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}/k8s-audit", self.audit_port)
    }

    /// Runs `saker audit setup` for this node, with the endpoint that its agent has and a certificate to show there.
    pub fn setup(&self, args: &[&str]) -> anyhow::Result<String> {
        let [certificate, key] = self.certificate("kube-apiserver-audit")?;
        let ca = self.pki("ca.crt");
        let shown = ["--ca", &ca, "--client-certificate", &certificate, "--client-key", &key];
        self.setup_for(&self.endpoint(), &[&shown, args].concat())
    }

    fn pki(&self, name: &str) -> String {
        self.root().join("etc/kubernetes/pki").join(name).display().to_string()
    }

    /// The same with another endpoint.
    pub fn setup_for(&self, endpoint: &str, args: &[&str]) -> anyhow::Result<String> {
        let binaries = std::env::var_os("SAKER_BIN_DIR").context("SAKER_BIN_DIR is not set: run make e2e")?;
        let mut command = Command::new(Path::new(&binaries).join("saker"));
        command.args(["audit", "setup", "--endpoint", endpoint]).arg("--root").arg(self.root());
        for file in rules_files() {
            command.arg("--rules").arg(file);
        }
        run(command.args(args), "")
    }

    /// Starts an agent that takes the audit events and prints what every rule says of them.
    pub fn agent(&self) -> anyhow::Result<Process> {
        let config = self.root().join("saker.yaml");
        let text = format!(
            "json_output: true\nrule_matching: all\nrules_files: {:?}\nstate_dir: {}\nwebserver: {{listen_address: \
             127.0.0.1, listen_port: {}, ssl_enabled: true, ssl_certificate: {}, ssl_private_key: {}}}\nk8s_audit: \
             {{client_ca: {}}}\n",
            rules_files(),
            self.root().join("state").display(),
            self.audit_port,
            self.pki("apiserver.crt"),
            self.pki("apiserver.key"),
            self.pki("ca.crt"),
        );
        write(&config, &text)?;
        let config = config.display().to_string();
        let args = ["--config", config.as_str(), "--disable-source", "syscall"];
        Process::start("saker-agent", self.root(), &self.root().join("admin.kubeconfig"), args)
    }

    /// Gets a path, or posts a body to it, without credentials: kubectl would ask for some.
    pub fn anonymous(&self, path: &str, body: &str) -> anyhow::Result<String> {
        let admin = fs::read_to_string(self.root().join("admin.kubeconfig"))?;
        let server = admin.split('"').find(|text| text.starts_with("https://")).context("no server")?;
        let mut command = Command::new("curl");
        command.args(["-fsS", "-H", "Content-Type: application/json", "--cacert"]);
        command.arg(self.root().join("etc/kubernetes/pki/ca.crt")).arg(format!("{server}{path}"));
        if !body.is_empty() {
            command.args(["-d", body]);
        }
        run(&mut command, "")
    }

    /// Runs kubectl as a user: `admin`, or a new one of this name.
    pub fn kubectl(&self, user: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
        run(tool("kubectl", &self.credentials(user)?).args(args), input)
    }

    /// What the API server logged.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.root().join("kube-apiserver.log")).unwrap_or_default();
        log.lines().rev().take(40).collect::<Vec<_>>().join("\n")
    }

    fn credentials(&self, user: &str) -> anyhow::Result<PathBuf> {
        let path = self.root().join(format!("{user}.kubeconfig"));
        if !path.exists() {
            let admin = fs::read_to_string(self.root().join("admin.kubeconfig"))?;
            let line = admin.lines().find(|line| line.starts_with("users:")).context("no users")?;
            let [certificate, key] = self.certificate(user)?;
            let user = format!("{{client-certificate: {certificate}, client-key: {key}}}");
            let own = format!("users: [{{name: admin, user: {user}}}]");
            write(&path, &admin.replace(line, &own))?;
        }
        Ok(path)
    }

    /// Has a certificate signed for a user; it and its key, always the same.
    fn certificate(&self, user: &str) -> anyhow::Result<[String; 2]> {
        let file = |ending: &str| self.root().join(format!("{user}.{ending}")).display().to_string();
        let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
        if Path::new(&certificate).exists() {
            return Ok([certificate, key]);
        }
        let subject = format!("/CN={user}");
        let ca = |name: &str| self.cluster.file(name).display().to_string();
        let new = [
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            &subject,
            "-addext",
            "extendedKeyUsage=clientAuth",
        ];
        run(Command::new("openssl").args(new), "")?;
        let (ca_crt, ca_key) = (ca("ca.crt"), ca("ca.key"));
        let sign = ["x509", "-req", "-in", &request, "-CA", &ca_crt, "-CAkey", &ca_key, "-CAcreateserial"];
        run(
            Command::new("openssl").args(sign).args([
                "-days",
                "2",
                "-copy_extensions",
                "copy",
                "-out",
                &certificate,
            ]),
            "",
        )?;
        Ok([certificate, key])
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(kubelet) = self.kubelet.take() {
            // It ends by itself; what it says then is of no use.
            let _ = kubelet.join();
        }
    }
}

/// Our rules, and upstream's where there is a copy.
pub fn rules_files() -> Vec<String> {
    let ours = checkout("rulesets/saker_audit_rules.yaml");
    let upstream = std::env::var_os("SAKER_FIXTURES")
        .map(|fixtures| Path::new(&fixtures).join("rules/k8s_audit_rules.yaml").display().to_string());
    [ours].into_iter().chain(upstream.filter(|path| Path::new(path).exists())).collect()
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    Ok(fs::write(path, text)?)
}

/// Runs what the manifest says; again when it ends, and in place of the old one when the manifest changes.
fn kubelet(root: &Path, ended: &AtomicBool) {
    let mut running: Option<(String, Child)> = None;
    while !ended.load(Ordering::Relaxed) {
        let manifest = fs::read_to_string(root.join(MANIFEST)).unwrap_or_default();
        let alive =
            |(of, child): &mut (String, Child)| *of == manifest && matches!(child.try_wait(), Ok(None));
        if !running.as_mut().is_some_and(alive) {
            running.take().into_iter().for_each(|(_, child)| stop(child, ended));
            running = spawn(root, &manifest).ok().map(|child| (manifest, child));
        }
        thread::sleep(Duration::from_millis(200));
    }
    if let Some((_, child)) = running {
        kill(child);
    }
}

/// As kubelet does it: the API server is asked, and killed after its grace period. Without an agent it would first try
/// for more than a minute to send its last events.
fn stop(mut child: Child, ended: &AtomicBool) {
    // It may have ended.
    let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
    within(GRACE, || (ended.load(Ordering::Relaxed) || !matches!(child.try_wait(), Ok(None))).then_some(()));
    kill(child);
}

/// Nobody needs it any more.
fn kill(mut child: Child) {
    // It may have ended.
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(root: &Path, manifest: &str) -> anyhow::Result<Child> {
    run_api_server(root, "kube-apiserver", flags(manifest)?)
}

/// The flags of the API server in a manifest.
fn flags(manifest: &str) -> anyhow::Result<Vec<String>> {
    let pod: Value = serde_saphyr::from_str(manifest)?;
    let command = pod["spec"]["containers"][0]["command"].as_array().context("no command")?;
    Ok(command.iter().skip(1).filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The API server's files are the node's: a path below `/etc` is where it is on the node.
fn run_api_server(root: &Path, title: &str, flags: Vec<String>) -> anyhow::Result<Child> {
    let etc = format!("={}/", root.join("etc").display());
    let words = flags.into_iter().map(|word| word.replace("=/etc/", &etc));
    let log = File::options().create(true).append(true).open(root.join("kube-apiserver.log"))?;
    let mut command = tool("kube-apiserver", Path::new(""));
    command.arg0(title).args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}

/// The flags of the manifest as k3s has them, and its authority where it keeps that.
fn configure_k3s(root: &Path, manifest: &str) -> anyhow::Result<()> {
    let items = flags(manifest)?.into_iter().map(|flag| format!("  - {}\n", flag.trim_start_matches("--")));
    let text: String = ["kube-apiserver-arg:\n".to_owned()].into_iter().chain(items).collect();
    write(&root.join(K3S).join("config.yaml"), &text)?;
    let authority = root.join("var/lib/rancher/k3s/server/tls/server-ca.crt");
    write(&authority, &fs::read_to_string(root.join("etc/kubernetes/pki/ca.crt"))?)
}

/// Starts k3s again whenever it ends; it reads its configuration then alone.
fn systemd(root: &Path, ended: &AtomicBool) {
    let mut running: Option<Child> = None;
    while !ended.load(Ordering::Relaxed) {
        if !running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            running = run_k3s(root).ok();
        }
        thread::sleep(Duration::from_millis(200));
    }
    running.into_iter().for_each(kill);
}

/// The title of k3s hides its arguments; those of its API server are in its files.
fn run_k3s(root: &Path) -> anyhow::Result<Child> {
    let mut flags = Vec::new();
    for file in ["config.yaml", "config.yaml.d/90-saker-audit.yaml"] {
        let text = fs::read_to_string(root.join(K3S).join(file)).unwrap_or_default();
        let settings: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        for key in ["kube-apiserver-arg", "kube-apiserver-arg+"] {
            let list = settings[key].as_array().into_iter().flatten();
            flags.extend(list.filter_map(Value::as_str).map(|flag| format!("--{flag}")));
        }
    }
    run_api_server(root, "k3s server", flags)
}
