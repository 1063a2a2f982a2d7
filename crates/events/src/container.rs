//! Which container a process is in, read from the paths of its cgroups (scap-format.md §6), and what its
//! runtime tells of it.

mod json;
mod metadata;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

pub use metadata::{Labels, Metadata, Mount, Pod};

/// Hex digits of a container id.
const FULL_ID: usize = 64;
/// Characters that `container.id` shows.
const SHORT_ID: usize = 12;
/// Longest id of a container that containerd named by hand.
const MAX_NAME: usize = 64;

/// A container as the cgroups tell it, and what was found out since. All its processes share one.
#[derive(Debug)]
pub struct Container {
    /// The whole id.
    pub full_id: String,
    /// Who runs it.
    pub engine: Engine,
    metadata: OnceLock<Metadata>,
    pending: AtomicBool,
}

/// Finds out about containers, beside the events.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// A container was seen for the first time. Must not wait.
    fn look_up(&self, container: &Arc<Container>);
}

/// A container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the runtimes'")]
pub enum Engine {
    Podman,
    Docker,
    Crio,
    Containerd,
    Lxc,
}

impl Engine {
    /// What `container.type` shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Crio => "cri-o",
            Self::Containerd => "containerd",
            Self::Lxc => "lxc",
        }
    }
}

/// What runtimes write before the id in the last words of a cgroup path; `.scope` may follow.
///
/// Monitors (`crio-conmon-…`, `libpod-conmon-…`) are host processes and match nothing.
const PREFIXES: &[(&str, Engine)] = &[
    ("libpod-payload-", Engine::Podman),
    ("libpod-", Engine::Podman),
    ("docker-", Engine::Docker),
    ("cri-containerd-", Engine::Containerd),
    ("nerdctl-", Engine::Containerd),
    ("crio-", Engine::Crio),
];

impl Container {
    /// A container of which nothing else is known.
    pub fn new(full_id: impl Into<String>, engine: Engine) -> Self {
        let full_id = full_id.into();
        Self { full_id, engine, metadata: OnceLock::new(), pending: AtomicBool::new(false) }
    }

    /// What its runtime tells, once that is known.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.get()
    }

    /// Whether [`Self::metadata`] is on its way, so that an event may wait for it.
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// The look-up has begun, or nobody need wait for it any more.
    pub fn set_pending(&self, pending: bool) {
        self.pending.store(pending, Ordering::Release);
    }

    /// The answer; the first one counts.
    pub fn set_metadata(&self, metadata: Metadata) {
        // An error says that it is known already.
        let _ = self.metadata.set(metadata);
        self.set_pending(false);
    }

    /// The container that the cgroups (`subsystem=path`, separated by NUL) name; `None` on the host.
    pub fn of(cgroups: &[u8]) -> Option<Self> {
        let paths = || crate::list::items(cgroups).filter_map(path);
        paths().find_map(Self::of_path).or_else(|| named_by_containerd(paths()))
    }

    /// What `container.id` shows: the start of the id, but LXC's names whole.
    pub fn id(&self) -> &str {
        if self.engine == Engine::Lxc { &self.full_id } else { short(&self.full_id) }
    }

    /// Who runs it: who told of it, or what the cgroups say.
    pub fn engine(&self) -> Engine {
        self.metadata().and_then(|m| m.engine).unwrap_or(self.engine)
    }

    /// Of nested containers the innermost; what systemd inside a container adds to the path is passed over.
    fn of_path(path: &str) -> Option<Self> {
        let by_id = path.rsplit('/').find_map(|c| with_id(c, path));
        let found = by_id.or_else(|| lxc(path));
        found.map(|(engine, id)| Self::new(id, engine))
    }
}

/// A component that ends in a full id.
fn with_id<'a>(component: &'a str, path: &str) -> Option<(Engine, &'a str)> {
    let component = component.strip_suffix(".scope").unwrap_or(component);
    let (prefix, id) = component.split_at_checked(component.len().checked_sub(FULL_ID)?)?;
    let engine = match prefix {
        // Plain cgroupfs drivers write no runtime's name, but Kubernetes writes its own, and containerd its
        // namespace for Kubernetes.
        "" if path.contains("kubepods") || path.starts_with("/k8s.io/") => Engine::Containerd,
        "" => Engine::Docker,
        p if p.ends_with(":cri-containerd:") => Engine::Containerd,
        p => PREFIXES.iter().find(|(known, _)| *known == p)?.1,
    };
    is_full_id(id).then_some((engine, id))
}

/// `/lxc/NAME`, `/lxc.payload/NAME`, `/lxc.payload.NAME`.
fn lxc(path: &str) -> Option<(Engine, &str)> {
    let after = |prefix| path.split_once(prefix).map(|(_, rest)| rest);
    let rest = ["/lxc/", "/lxc.payload/", "/lxc.payload."].into_iter().find_map(after)?;
    let name = rest.split('/').next().filter(|name| !name.is_empty())?;
    Some((Engine::Lxc, name))
}

/// `ctr` puts containers under `/NAMESPACE/ID`, with any text for an id. A service manager of the host may nest
/// one controller alike; a container is in the same place everywhere.
fn named_by_containerd<'a>(mut paths: impl Iterator<Item = &'a str>) -> Option<Container> {
    const SYSTEMD: [&str; 3] = [".service", ".slice", ".scope"];
    let path = paths.next()?;
    let (namespace, id) = path.strip_prefix('/')?.split_once('/')?;
    let plain = !namespace.is_empty() && !id.is_empty() && id.len() <= MAX_NAME && !id.contains('/');
    let unit = path.split('/').any(|c| SYSTEMD.iter().any(|s| c.ends_with(s)));
    let everywhere = paths.all(|other| other == path);
    (plain && !unit && everywhere).then(|| Container::new(id, Engine::Containerd))
}

/// The part of an id that is shown.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

fn is_full_id(text: &str) -> bool {
    text.len() == FULL_ID && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn path(item: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(item).ok()?;
    text.split_once('=').map(|(_, path)| path)
}
