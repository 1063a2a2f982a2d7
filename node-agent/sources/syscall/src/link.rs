//! What holds a program to its hook. The program is taken out of use when this is dropped.

use aya::programs::links::FdLink;

/// A hook in use.
#[derive(Debug)]
pub(crate) struct HookLink {
    hook: &'static str,
    link: FdLink,
    /// `None` on kernels before 5.8, which do not tell.
    ids: Option<Ids>,
}

/// The kernel's numbers of the link and its program.
type Ids = (u32, u32);

impl HookLink {
    pub(crate) fn new(hook: &'static str, link: FdLink) -> Self {
        let ids = ids(&link);
        Self { hook, link, ids }
    }

    /// The kernel's name of the hook.
    pub(crate) fn hook(&self) -> &'static str {
        self.hook
    }

    /// Whether the link still is the one that was made, with its program.
    pub(crate) fn holds(&self) -> bool {
        self.ids.is_none() || ids(&self.link) == self.ids
    }
}

fn ids(link: &FdLink) -> Option<Ids> {
    let info = link.info().ok()?;
    Some((info.id(), info.program_id()))
}
