//! `group.*`: the group that the process acts for.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("group.gid", Uint32, SYSCALL, P(|r, _| uint(r.process()?.gid.into())), "Group id"),
    row("group.name", CharBuf, SYSCALL, P(|r, _| text(r.users.group_name(r.process()?.gid))), "Group name"),
];
