//! What is to be put where, in the words and the form of each distribution.

use std::path::Path;

use serde_json::json;

use crate::{
    Distribution,
    files::{PlannedFile, file, place},
    flags::{FLAGS, POLICY_FLAG, WEBHOOK_FLAG, read_at_start},
};

/// What every distribution is told.
pub(crate) struct Settings<'a> {
    pub(crate) distribution: Distribution,
    pub(crate) folder: &'static str,
    /// Flags of the API server with their values.
    pub(crate) flags: &'a [(String, String)],
    pub(crate) files: &'a [PlannedFile],
}

/// The API server has a policy of somebody else: it decides what other logs say, too.
pub(crate) fn keep_policy(path: &str) -> String {
    format!(
        "The API server has a policy already, which is kept: {path}. See what it leaves the rules blind to with \
         `saker audit policy --check {path}`."
    )
}

impl Settings<'_> {
    /// Commands that write the files, the secret one as `secret` prints it.
    fn commands(&self, secret: &str) -> String {
        let write = |file: &PlannedFile| {
            let PlannedFile { path, content, .. } = file;
            if file.secret {
                return format!("(umask 077; {secret} > {path})\n");
            }
            format!("cat > {path} <<'SAKER'\n{}\nSAKER\n", content.trim_end())
        };
        let folders = [self.folder, "/etc/rancher/k3s/config.yaml.d", "/etc/rancher/rke2/config.yaml.d"];
        let needed = |folder: &&&str| self.files.iter().any(|file| file.path.starts_with(*folder));
        let folders = folders.iter().filter(needed).map(|folder| format!("mkdir -p {folder}\n"));
        folders.chain(self.files.iter().map(write)).collect()
    }

    /// What is to be changed in the manifest of the static pod.
    fn static_pod(&self) -> String {
        let flag = |(name, value): &(String, String)| format!("    - --{name}={value}\n");
        let flags: String = self.flags.iter().map(flag).collect();
        let folder = self.folder;
        format!(
            "Add this to /etc/kubernetes/manifests/kube-apiserver.yaml; kubelet starts the API server again by \
             itself:\n\nspec:\n  containers:\n  - command:\n{flags}    volumeMounts:\n    - {{name: saker-audit, \
             mountPath: {folder}, readOnly: true}}\n  volumes:\n  - {{name: saker-audit, hostPath: {{path: \
             {folder}, type: DirectoryOrCreate}}}}"
        )
    }

    /// The file that k3s and RKE2 read beside their own configuration. The `+` adds to the lists of other files.
    pub(crate) fn drop_in(&self) -> Option<PlannedFile> {
        let product = self.distribution.product()?;
        // RKE2 mounts the policy into the API server's pod by itself.
        let own = |(name, _): &&(String, String)| product == "rke2" && name == POLICY_FLAG;
        let (own, others): (Vec<_>, Vec<_>) = self.flags.iter().partition(own);
        let own = own.iter().map(|(name, value)| format!("{name}: {value}\n"));
        let others = others.iter().map(|(name, value)| format!("  - {name}={value}\n"));
        let text = own.chain(["kube-apiserver-arg+:\n".to_owned()]).chain(others);
        let folder = self.folder;
        let mount = format!("kube-apiserver-extra-mount+:\n  - {folder}:{folder}:ro\n");
        let text: String = text.chain((product == "rke2").then_some(mount)).collect();
        Some(file(format!("/etc/rancher/{product}/config.yaml.d/90-saker-audit.yaml"), text, false))
    }

    /// What is left to a person.
    pub(crate) fn steps(&self, root: Option<&Path>) -> Vec<String> {
        match self.distribution {
            Distribution::Kubeadm => vec![self.kubeadm()],
            Distribution::Kind => vec![self.kind()],
            Distribution::K3s => root.and_then(k3s_unit).into_iter().chain([restart("k3s")]).collect(),
            Distribution::K3d => vec![
                "Restart the node: docker restart NODE, for every node whose name ends in server-NUMBER."
                    .to_owned(),
            ],
            Distribution::Rke2 => vec![restart("rke2-server")],
            Distribution::Rke => vec![self.rke()],
            Distribution::Talos => vec![self.talos()],
            Distribution::Minikube => vec![self.minikube()],
            Distribution::Other => vec![self.other()],
        }
    }

    /// The flags as members of an object in YAML.
    fn members(&self, indent: &str) -> String {
        let member = |(name, value): &(String, String)| format!("{indent}{name}: {}\n", json!(value));
        self.flags.iter().map(member).collect()
    }

    fn kubeadm(&self) -> String {
        let argument =
            |(name, value): &(String, String)| format!("    - {{name: {name}, value: {}}}\n", json!(value));
        let arguments: String = self.flags.iter().map(argument).collect();
        let folder = self.folder;
        format!(
            "So that `kubeadm upgrade` keeps this, add it to ClusterConfiguration (kubectl -n kube-system edit \
             configmap kubeadm-config; extraArgs is a map before v1beta4):\n\napiServer:\n  \
             extraArgs:\n{arguments}  extraVolumes:\n    - {{name: saker-audit, hostPath: {folder}, mountPath: \
             {folder}, readOnly: true}}"
        )
    }

    fn kind(&self) -> String {
        "This is lost with the cluster. For the next one, mount the folder by extraMounts and name the flags in \
         kubeadmConfigPatches:\n\n"
            .to_owned()
            + &self.kubeadm()
    }

    fn rke(&self) -> String {
        let folder = self.folder;
        format!(
            "Put this into cluster.yml (in Rancher: Edit as YAML, below rancher_kubernetes_engine_config) when the \
             files are on every control-plane node, and run `rke up`:\n\nservices:\n  kube-api:\n    \
             extra_args:\n{}    extra_binds:\n      - {folder}:{folder}:ro",
            self.members("      ")
        )
    }

    fn talos(&self) -> String {
        let folder = self.folder;
        let file = |PlannedFile { path, content, .. }: &PlannedFile| {
            let content = content.trim_end().replace('\n', "\n        ");
            format!(
                "    - path: {path}\n      permissions: 0o600\n      op: create\n      content: |\n        \
                 {content}\n"
            )
        };
        let files: String = self.files.iter().map(file).collect();
        format!(
            "Put this into patch.yaml and run `talosctl patch mc --patch @patch.yaml` for each control-plane \
             node:\n\nmachine:\n  files:\n{files}cluster:\n  apiServer:\n    extraArgs:\n{}    extraVolumes:\n      - \
             {{hostPath: {folder}, mountPath: {folder}, readonly: true}}",
            self.members("      ")
        )
    }

    fn minikube(&self) -> String {
        let flag =
            |(name, value): &(String, String)| format!(" \\\n  --extra-config=apiserver.{name}={value}");
        let flags: String = self.flags.iter().map(flag).collect();
        let folder = self.folder;
        format!(
            "Write the files to ~/.minikube/files{folder}/ on the machine where minikube is run: it copies them to \
             {folder}, which the API server sees. Then:\n\nminikube start{flags}"
        )
    }

    fn other(&self) -> String {
        let flag = |(name, value): &(String, String)| format!("  --{name}={value}\n");
        let flags: String = self.flags.iter().map(flag).collect();
        format!(
            "Nothing here is known as a control-plane node. Write the files where the API server can read them, give \
             it these flags, and start it again:\n\n{flags}\nA managed API server (EKS, GKE, AKS) takes no webhook."
        )
    }
}

/// All that a person has to do on each control-plane node of a distribution, for the status of an object. `secret` is
/// the command that prints the webhook's kubeconfig, which has a key in it and so does not stand here.
pub fn snippet(distribution: Distribution, policy: &str, secret: &str) -> String {
    let folder = distribution.folder();
    let [policy_path, webhook_path] = read_at_start(distribution);
    let placeholder = format!("(what this prints: {secret})");
    let mut files = vec![
        file(policy_path.clone(), policy.to_owned(), false),
        file(webhook_path.clone(), placeholder, true),
    ];
    let named = [(POLICY_FLAG, policy_path.as_str()), (WEBHOOK_FLAG, webhook_path.as_str())];
    let flags: Vec<_> =
        named.into_iter().chain(FLAGS).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let settings = Settings { distribution, folder, flags: &flags, files: &files };
    let mut steps = settings.steps(None);
    if matches!(distribution, Distribution::Kubeadm | Distribution::Kind) {
        steps.insert(0, settings.static_pod());
    }
    files.extend(settings.drop_in());
    let commands = Settings { distribution, folder, flags: &flags, files: &files }.commands(secret);
    let head = format!("# {distribution}. On each control-plane node, as root:\n");
    // Talos has no shell, and its patch holds the files.
    let commands =
        if distribution == Distribution::Talos { String::new() } else { format!("{head}{commands}\n") };
    commands + &steps.join("\n\n") + "\n"
}

/// The command that starts the API server again, if a person has to.
pub fn restart_command(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::K3s => "systemctl restart k3s",
        Distribution::K3d => "docker restart NODE",
        Distribution::Rke2 => "systemctl restart rke2-server",
        Distribution::Rke => "rke up",
        _ => "touch the manifest of the static pod, or start its container again",
    }
}

fn restart(service: &str) -> String {
    format!("Restart the server, one node at a time: systemctl restart {service}")
}

/// Arguments on k3s' command line replace the lists of its configuration files.
fn k3s_unit(root: &Path) -> Option<String> {
    let unit = "/etc/systemd/system/k3s.service";
    let text = std::fs::read_to_string(place(root, unit)).ok()?;
    text.contains("kube-apiserver-arg").then(|| {
        format!(
            "{unit} has --kube-apiserver-arg, which replaces all such arguments of configuration files: move them to \
             /etc/rancher/k3s/config.yaml, as a list kube-apiserver-arg, or the API server gets none of the new ones."
        )
    })
}
