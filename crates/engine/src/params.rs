//! The parameters of an event, and what both tables make of them.

use std::sync::Arc;

use saker_events::{
    Event,
    container::Container,
    fd::{number_of, text_of},
    param, path,
    process::{Capabilities, Image, Memory, Process},
    table::{CLONE_FLAGS, EventRow, ParamType, symbol_value},
};

/// An event with its row: its parameters by name.
#[derive(Clone, Copy)]
pub(crate) struct Params<'a> {
    pub event: &'a Event<'a>,
    pub row: &'static EventRow,
}

impl<'a> Params<'a> {
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number_of(self.event, self.row, name)
    }

    pub(crate) fn signed(&self, name: &str) -> Option<i64> {
        self.number(name).map(u64::cast_signed)
    }

    pub(crate) fn word(&self, name: &str) -> Option<u32> {
        self.number(name).and_then(|n| u32::try_from(n).ok())
    }

    pub(crate) fn text(&self, name: &str) -> &'a [u8] {
        text_of(self.event, self.row, name)
    }

    /// A list of texts, separated by NUL.
    pub(crate) fn list(&self, name: &str) -> &'a [u8] {
        let index = self.row.param(name).filter(|(_, p)| p.ty == ParamType::Bytebuf).map(|(index, _)| index);
        index.and_then(|index| self.event.param(index)).unwrap_or_default()
    }

    /// A number by its position, for events that are many.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> Option<u64> {
        let ty = self.row.params.get(index)?.ty;
        Some(param::number(ty, self.event.param(index)?)?.bits())
    }

    /// A number with a sign by its position.
    #[inline]
    pub(crate) fn signed_at(&self, index: usize) -> Option<i64> {
        self.at(index).map(u64::cast_signed)
    }

    /// A text by its position.
    #[inline]
    pub(crate) fn text_at(&self, index: usize) -> &'a [u8] {
        self.event.param(index).map(param::text).unwrap_or_default()
    }

    /// The same; `<NA>` if nothing was written.
    pub(crate) fn told_at(&self, index: usize) -> &'a [u8] {
        param::told(self.event.param(index).unwrap_or_default())
    }

    pub(crate) fn memory(&self) -> Memory {
        let number = |name| self.number(name).unwrap_or(0);
        Memory {
            size: number("vm_size"),
            rss: number("vm_rss"),
            swap: number("vm_swap"),
            faults_major: number("pgft_maj"),
            faults_minor: number("pgft_min"),
        }
    }

    pub(crate) fn image(&self) -> Image {
        let exepath = self.text("trusted_exepath");
        let number = |name| self.number(name).unwrap_or(0);
        Image {
            exe: self.text("exe").into(),
            exepath: exepath.strip_suffix(b" (deleted)").unwrap_or(exepath).into(),
            args: self.list("args").into(),
            env: self.list("env").into(),
            flags: number("flags"),
            ino: number("exe_ino"),
            ctime: number("exe_ino_ctime"),
            mtime: number("exe_ino_mtime"),
            ..Image::default()
        }
    }
}

/// What forks and execs both say.
pub(crate) fn set_common(process: &mut Process, params: Params, boot_time: u64) {
    set_text(&mut process.comm, params.text("comm"));
    set(&mut process.uid, params.word("uid"));
    set(&mut process.gid, params.word("gid"));
    set(&mut process.vpid, params.signed("vpid"));
    set(&mut process.vtid, params.signed("vpid"));
    set(&mut process.fdlimit, params.signed("fdlimit"));
    set(&mut process.pidns_start, params.number("pidns_init_start_ts").map(|t| t.saturating_add(boot_time)));
    set_cwd(process, params.text("cwd"));
    set_cgroups(process, params.list("cgroups"));
}

/// What only an exec says.
pub(crate) fn set_identity(process: &mut Process, params: Params) {
    set(&mut process.tty, params.word("tty"));
    set(&mut process.vpgid, params.signed("vpgid"));
    set(&mut process.loginuid, params.word("loginuid"));
    set(&mut process.pgid, params.signed("pgid"));
    set(&mut process.sid, params.signed("sid"));
    set_capabilities(process, params);
}

/// What `execve` and `capset` say.
pub(crate) fn set_capabilities(process: &mut Process, params: Params) {
    let caps = ["cap_inheritable", "cap_permitted", "cap_effective"].map(|name| params.number(name));
    if let [Some(inheritable), Some(permitted), Some(effective)] = caps {
        process.caps = Capabilities { inheritable, permitted, effective };
    }
}

/// Whether `unshare` or `setns` is about a user namespace, in which a process may do everything.
pub(crate) fn enters_user_namespace(params: Params) -> bool {
    let flags = params.number("flags").or(params.number("nstype")).unwrap_or(0);
    flags & symbol_value(CLONE_FLAGS, "CLONE_NEWUSER") != 0
}

pub(crate) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Texts that did not change stay shared with the parent's.
pub(crate) fn set_text(field: &mut Arc<[u8]>, text: &[u8]) {
    if !text.is_empty() && **field != *text {
        *field = text.into();
    }
}

pub(crate) fn set_cwd(process: &mut Process, path: &[u8]) {
    if path.is_empty() {
        return;
    }
    let mut cwd = path::join(&process.cwd, path).into_owned();
    if !cwd.ends_with(b"/") {
        cwd.push(b'/');
    }
    set_text(&mut process.cwd, &cwd);
}

pub(crate) fn set_cgroups(process: &mut Process, cgroups: &[u8]) {
    if cgroups.is_empty() || *process.cgroups == *cgroups {
        return;
    }
    process.cgroups = cgroups.into();
    process.container = Container::of(cgroups).map(Arc::new);
}
