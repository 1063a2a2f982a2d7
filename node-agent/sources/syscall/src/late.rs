//! Hooks that only some rules need and that can wait: the verifier's time for them is not part of the start, and they
//! are in use only while a call is wanted that they are for.

use crate::{
    HookState, SyscallSet,
    link::HookLink,
    object,
    probe::ProbeError,
    programs::{Programs, Results},
};

/// Hooks that go together, and the calls they are for.
pub(crate) struct Late {
    hooks: &'static [&'static str],
    calls: &'static [&'static str],
    /// Whether anybody asks for what they tell of these calls.
    asked: bool,
    wanted: bool,
    links: Vec<HookLink>,
    state: Loaded,
}

/// Once, whether it works or not.
#[derive(PartialEq, Eq)]
enum Loaded {
    NotYet,
    Begun,
    Works,
    Fails,
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

/// What a descriptor stood for that was closed (`closing.h`). Every call of the machine pays for it, so it is in use only
/// where that is asked for.
const CLOSING: Late = {
    let mut late = Late::new(&["sys_enter"], &["close"]);
    late.ask(false);
    late
};

/// How many of them there are.
pub(crate) const COUNT: usize = 3;
/// All of them.
pub(crate) const ALL: [Late; COUNT] = [URING, NAMES, CLOSING];
/// Where the hook on closes is among them.
pub(crate) const CLOSING_AT: usize = 2;

impl Late {
    const fn new(hooks: &'static [&'static str], calls: &'static [&'static str]) -> Self {
        Self { hooks, calls, asked: true, wanted: false, links: Vec::new(), state: Loaded::NotYet }
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

    /// Says whether anybody asks for what they tell.
    pub(crate) const fn ask(&mut self, asked: bool) {
        self.asked = asked;
    }

    fn needed(&self) -> bool {
        self.asked && self.wanted
    }

    /// Its hooks if they are to be loaded, which is then taken as begun.
    pub(crate) fn begin(&mut self) -> &'static [&'static str] {
        if !self.needed() || self.state != Loaded::NotYet {
            return &[];
        }
        self.state = Loaded::Begun;
        self.hooks
    }

    /// Takes over what came of it. Returns the hooks' state if they are of no use.
    pub(crate) fn take(&mut self, results: &Results) -> Option<HookState> {
        let mut own = self.hooks.iter().filter_map(|hook| results.get(hook)).peekable();
        own.peek()?;
        let failed = own.find_map(|result| result.as_ref().err());
        self.state = if failed.is_some() { Loaded::Fails } else { Loaded::Works };
        failed.map(|reason| HookState::Off(reason.clone()))
    }

    /// Attaches the hooks if they are wanted and loaded, detaches them if not wanted. Returns their state if it changes.
    pub(crate) fn follow(&mut self, programs: &mut Programs) -> Result<Option<HookState>, ProbeError> {
        let attached = !self.links.is_empty();
        if !self.needed() {
            self.links.clear();
            return Ok(attached.then(unwanted));
        }
        if attached || self.state != Loaded::Works {
            return Ok(None);
        }
        for name in self.hooks {
            self.links.push(object::attach(programs.get()?, name)?);
        }
        Ok(Some(HookState::Attached))
    }
}

/// The state of hooks that no rule needs.
pub(crate) fn unwanted() -> HookState {
    HookState::Off("no call is wanted that it is for".to_owned())
}
