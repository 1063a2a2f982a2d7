//! `user.*`: the user that the process acts for.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("user.uid", Uint32, SYSCALL, P(|r, _| uint(r.process()?.uid.into())), "User id"),
    row("user.name", CharBuf, SYSCALL, P(|r, _| text(r.users.user_name(r.process()?.uid))), "User name"),
    row("user.homedir", CharBuf, SYSCALL, P(|r, _| r.process().and_then(|p| text(r.users.user(p.uid).map_or("<NA>", |u| &u.home)))), "Home directory of the user"),
    row("user.shell", CharBuf, SYSCALL, P(|r, _| r.process().and_then(|p| text(r.users.user(p.uid).map_or("<NA>", |u| &u.shell)))), "Login shell of the user"),
    row("user.loginuid", Int64, SYSCALL, P(|r, _| int(login(r.process()?.loginuid))), "Id of the user who logged in; -1 if nobody did"),
    row("user.loginname", CharBuf, SYSCALL, P(|r, _| text(r.users.user_name(r.process()?.loginuid))), "Name of the user who logged in"),
];

/// The kernel's "nobody logged in" is shown as -1.
fn login(loginuid: u32) -> i64 {
    if loginuid == u32::MAX { -1 } else { i64::from(loginuid) }
}
