//! Which Kubernetes runs on a machine.

use std::{fmt, path::Path};

/// A distribution, as far as the settings of its API server differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the distributions'")]
pub enum Distribution {
    Talos,
    Rke2,
    K3d,
    K3s,
    Minikube,
    Kind,
    Rke,
    Kubeadm,
    Other,
}

/// How a distribution is told, and where files for its API server go.
struct Row {
    distribution: Distribution,
    name: &'static str,
    /// Any of these files or folders.
    markers: &'static [&'static str],
    /// What only the arguments of this distribution's API server contain.
    argument: &'static str,
    /// Folder for the files, as the machine and the API server see it.
    folder: &'static str,
}

/// Those that resemble others come before them: a k3d node has all that a k3s node has.
const TABLE: [Row; 9] = [
    Row {
        distribution: Distribution::Talos,
        name: "Talos",
        markers: &["usr/share/talos", "system/state", "etc/talos"],
        argument: "/system/secrets/kubernetes/",
        folder: "/var/etc/saker",
    },
    Row {
        distribution: Distribution::Rke2,
        name: "RKE2",
        markers: &["etc/rancher/rke2", "var/lib/rancher/rke2/server"],
        argument: "/var/lib/rancher/rke2/",
        folder: "/etc/rancher/rke2/saker",
    },
    Row {
        distribution: Distribution::K3d,
        name: "k3d",
        markers: &["bin/k3d-entrypoint.sh"],
        argument: "",
        folder: "/etc/rancher/k3s/saker",
    },
    Row {
        distribution: Distribution::K3s,
        name: "k3s",
        markers: &["etc/rancher/k3s", "var/lib/rancher/k3s/server"],
        argument: "/var/lib/rancher/k3s/",
        folder: "/etc/rancher/k3s/saker",
    },
    Row {
        distribution: Distribution::Minikube,
        name: "minikube",
        markers: &["var/lib/minikube"],
        argument: "/var/lib/minikube/",
        folder: "/etc/ssl/certs/saker",
    },
    Row {
        distribution: Distribution::Kind,
        name: "kind",
        markers: &["kind/version"],
        argument: "",
        folder: "/etc/kubernetes/saker",
    },
    Row {
        distribution: Distribution::Rke,
        name: "RKE",
        markers: &["opt/rke", "etc/kubernetes/ssl/kube-apiserver.pem"],
        argument: "/etc/kubernetes/ssl/",
        folder: "/etc/saker/apiserver",
    },
    Row {
        distribution: Distribution::Kubeadm,
        name: "kubeadm",
        markers: &["etc/kubernetes/manifests/kube-apiserver.yaml"],
        argument: "/etc/kubernetes/pki/",
        folder: "/etc/kubernetes/saker",
    },
    Row {
        distribution: Distribution::Other,
        name: "other",
        markers: &[],
        argument: "",
        folder: "/etc/saker/apiserver",
    },
];

impl Distribution {
    /// The distribution of the machine whose files lie below `root`, or else of an API server with these arguments.
    pub fn detect(root: &Path, arguments: &[String]) -> Self {
        let by_files = TABLE.iter().find(|row| row.markers.iter().any(|marker| root.join(marker).exists()));
        let has = |row: &&Row| !row.argument.is_empty() && arguments.iter().any(|a| a.contains(row.argument));
        let found = by_files.or_else(|| TABLE.iter().find(has));
        found.map_or(Self::Other, |row| row.distribution)
    }

    /// k3s or RKE2, whose API server is a part of them and has its settings in their files.
    pub(crate) fn product(self) -> Option<&'static str> {
        match self {
            Self::K3s | Self::K3d => Some("k3s"),
            Self::Rke2 => Some("rke2"),
            _ => None,
        }
    }

    /// Whether its API server is a part of the process k3s.
    pub(crate) fn is_k3s(self) -> bool {
        self.product() == Some("k3s")
    }

    /// The distribution of this name.
    pub fn named(name: &str) -> Self {
        TABLE.iter().find(|row| row.name == name).map_or(Self::Other, |row| row.distribution)
    }

    /// Whether an AuditSink may change it: a static pod that kubelet starts again, or k3s' drop-in.
    pub fn is_patchable(self) -> bool {
        matches!(self, Self::Kubeadm | Self::Kind | Self::K3s | Self::K3d)
    }

    /// Where it keeps what its API server's command line does not show: the authority of its certificate.
    pub(crate) fn readiness(self) -> Option<String> {
        let product = self.product()?;
        Some(format!("--client-ca-file=/var/lib/rancher/{product}/server/tls/server-ca.crt"))
    }

    /// Where it writes an audit log unless it is told otherwise; empty if it writes none.
    pub(crate) fn log(self) -> &'static str {
        match self {
            Self::Talos => "/var/log/audit/kube/kube-apiserver.log",
            Self::Rke => "/var/log/kube-audit/audit-log.json",
            Self::Rke2 => "/var/lib/rancher/rke2/server/logs/audit.log",
            _ => "",
        }
    }

    /// Folder for the policy and the webhook's kubeconfig.
    pub fn folder(self) -> &'static str {
        self.row().map_or("", |row| row.folder)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.distribution == self)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().map_or("", |row| row.name))
    }
}
