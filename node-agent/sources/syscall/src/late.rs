//! Hooks that only some rules need and that can wait: the verifier's time for them is not part of the start, and they
//! are in use only while a call is wanted that they are for.

use aya::{Btf, Ebpf};

use crate::{HookState, SyscallSet, link::HookLink, object, probe::ProbeError};

/// Hooks that go together, and the calls they are for.
pub(crate) struct Late {
    hooks: &'static [&'static str],
    calls: &'static [&'static str],
    wanted: bool,
    links: Vec<HookLink>,
    /// Once, whether it worked or not.
    loaded: Option<Result<(), String>>,
}

/// When a request of io_uring is made and when it ends, under their names since kernel 6.4; `uring.h` tells them as these
/// calls.
const URING: Late = Late::new(
    &["io_uring_submit_req", "io_uring_complete"],
    &[
        "sendmsg",
        "recvmsg",
        "accept4",
        "connect",
        "openat",
        "openat2",
        "sendto",
        "recvfrom",
        "renameat2",
        "unlinkat",
        "mkdirat",
        "symlinkat",
        "linkat",
        "socket",
    ],
);

/// The kernel's copies of paths (`names.h`). Every open of the machine pays for it too, so links, of which most rule sets
/// have rules, do not ask for it.
const NAMES: Late = Late::new(
    &["kmem_cache_free"],
    &[
        "unlink",
        "unlinkat",
        "rmdir",
        "rename",
        "renameat",
        "renameat2",
        "mkdir",
        "mkdirat",
        "chmod",
        "fchmodat",
        "chown",
    ],
);

/// All of them.
pub(crate) const ALL: [Late; 2] = [URING, NAMES];

impl Late {
    const fn new(hooks: &'static [&'static str], calls: &'static [&'static str]) -> Self {
        Self { hooks, calls, wanted: false, links: Vec::new(), loaded: None }
    }

    /// The kernel's names of the hooks.
    pub(crate) const fn hooks(&self) -> &'static [&'static str] {
        self.hooks
    }

    /// Those in use.
    pub(crate) fn links(&self) -> &[HookLink] {
        &self.links
    }

    /// Says which calls are wanted; [`Self::follow`] does what follows from it.
    pub(crate) fn want(&mut self, syscalls: &SyscallSet) {
        self.wanted = syscalls.names().any(|name| self.calls.contains(&name));
    }

    /// Whether following takes no time.
    pub(crate) const fn is_quick(&self) -> bool {
        self.loaded.is_some() || !self.wanted
    }

    /// Attaches the hooks if they are wanted, detaches them if not. Returns their state if it changes.
    pub(crate) fn follow(&mut self, ebpf: &mut Ebpf) -> Result<Option<HookState>, ProbeError> {
        let attached = !self.links.is_empty();
        if !self.wanted {
            self.links.clear();
            return Ok(attached.then(unwanted));
        }
        if attached || matches!(self.loaded, Some(Err(_))) {
            return Ok(None);
        }
        let load = || load(ebpf, self.hooks).map_err(|error| error.to_string());
        if let Err(reason) = self.loaded.get_or_insert_with(load) {
            return Ok(Some(HookState::Off(reason.clone())));
        }
        for name in self.hooks {
            self.links.push(object::attach(ebpf, name)?);
        }
        Ok(Some(HookState::Attached))
    }
}

/// The state of hooks that no rule needs.
pub(crate) fn unwanted() -> HookState {
    HookState::Off("no call is wanted that it is for".to_owned())
}

fn load(ebpf: &mut Ebpf, names: &[&'static str]) -> Result<(), ProbeError> {
    let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Btf(Box::new(error)))?;
    let loaded = object::load_tracepoints(ebpf, &btf, names);
    drop(btf);
    object::give_back_memory();
    loaded
}
