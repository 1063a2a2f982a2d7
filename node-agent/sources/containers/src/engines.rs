//! The runtimes that are asked: one row each.

use std::path::{Path, PathBuf};

/// How a runtime is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The Container Runtime Interface v1: containerd, CRI-O and others under Kubernetes.
    Cri,
    /// containerd's own interface, for what the CRI does not know: `ctr run`, and pods that are being started.
    Containerd,
    /// Docker's HTTP interface.
    Docker,
    /// Podman's, which is like Docker's.
    Podman,
}

/// A kind with the sockets where its runtimes usually listen.
struct Row {
    kind: Kind,
    name: &'static str,
    sockets: &'static [&'static str],
}

/// Sockets below a user's own directory are not asked unless they are configured: that user could tell anything.
const ROWS: &[Row] = &[
    Row { kind: Kind::Cri, name: "cri", sockets: CRI },
    Row { kind: Kind::Containerd, name: "containerd", sockets: CONTAINERD },
    Row { kind: Kind::Docker, name: "docker", sockets: &["/run/docker.sock", "/var/run/docker.sock"] },
    Row { kind: Kind::Podman, name: "podman", sockets: &["/run/podman/podman.sock"] },
];

/// containerd as packaged, of k3s and RKE2, of Bottlerocket, k0s and MicroK8s.
const CONTAINERD: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/host-containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// All of containerd's, CRI-O, and Docker behind its CRI.
const CRI: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/host-containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/cri-dockerd.sock",
];

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Cri, Self::Containerd, Self::Docker, Self::Podman];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        ROWS.iter().find(|row| row.kind == self).map_or("", |row| row.name)
    }
}

/// Where runtimes of a kind usually listen on a machine whose root directory is seen as `root`.
pub fn defaults(kind: Kind, root: &Path) -> Vec<PathBuf> {
    let rows = ROWS.iter().filter(|row| row.kind == kind);
    rows.flat_map(|row| row.sockets).map(|path| root.join(path.trim_start_matches('/'))).collect()
}

/// Sockets of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// How they are asked.
    pub kind: Kind,
    /// Those that exist are asked.
    pub sockets: Vec<PathBuf>,
}

/// What is asked and how much of an answer is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Empty means that no container is looked up.
    pub engines: Vec<Engine>,
    /// Labels with longer values are left out, bytes.
    pub label_max_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let engines = Kind::ALL.map(|kind| Engine { kind, sockets: defaults(kind, Path::new("/")) });
        Self { engines: engines.into(), label_max_len: 100 }
    }
}
