//! `container_engines`: the runtimes that are asked for names, images and pods.

use std::path::{Path, PathBuf};

use saker_containers::{self as containers, Kind, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::legacy::Ignored;

/// The container runtimes that are asked for names, images and pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerEngines {
    /// Runtimes under Kubernetes: containerd, CRI-O and others.
    pub cri: ContainerEngine,
    /// containerd without Kubernetes, as `ctr` and `nerdctl` use it.
    pub containerd: ContainerEngine,
    /// Docker.
    pub docker: ContainerEngine,
    /// Podman.
    pub podman: ContainerEngine,
    /// Labels with longer values are left out, bytes.
    #[schemars(range(max = 65_536))]
    pub label_max_len: usize,
    /// Ignored: cgroups tell the name of an LXC container, and there is nobody to ask for more.
    pub lxc: Ignored,
    /// Ignored: such containers count as the host.
    pub libvirt_lxc: Ignored,
    /// Ignored: such containers count as the host.
    pub bpm: Ignored,
}

/// One kind of runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerEngine {
    /// Whether to ask it.
    pub enabled: bool,
    /// Where it listens; empty means the usual places.
    pub sockets: Vec<PathBuf>,
    /// Ignored: runtimes are asked beside the events.
    pub disable_async: Ignored,
}

impl Default for ContainerEngines {
    fn default() -> Self {
        Self {
            cri: ContainerEngine::default(),
            containerd: ContainerEngine::default(),
            docker: ContainerEngine::default(),
            podman: ContainerEngine::default(),
            label_max_len: Settings::default().label_max_len,
            lxc: Ignored,
            libvirt_lxc: Ignored,
            bpm: Ignored,
        }
    }
}

impl Default for ContainerEngine {
    fn default() -> Self {
        Self { enabled: true, sockets: Vec::new(), disable_async: Ignored }
    }
}

impl ContainerEngines {
    /// What is asked on a machine whose root directory is seen as `root`.
    pub fn settings(&self, root: &Path) -> Settings {
        let Self { cri, containerd, docker, podman, .. } = self;
        let kinds = [
            (Kind::Cri, cri),
            (Kind::Containerd, containerd),
            (Kind::Docker, docker),
            (Kind::Podman, podman),
        ];
        let engine = |(kind, engine): &(Kind, &ContainerEngine)| {
            let usual = || containers::defaults(*kind, root);
            let sockets = if engine.sockets.is_empty() { usual() } else { engine.sockets.clone() };
            containers::Engine { kind: *kind, sockets }
        };
        let engines = kinds.iter().filter(|(_, engine)| engine.enabled).map(engine).collect();
        Settings { engines, label_max_len: self.label_max_len }
    }
}
