//! `fdlist.*`: the file descriptors that `poll` waits for.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fdlist.nums", CharBuf, SYSCALL, NONE, "Numbers of the file descriptors, with commas"),
    row("fdlist.names", CharBuf, SYSCALL, NONE, "Names of the file descriptors, with commas"),
    row("fdlist.cips", CharBuf, SYSCALL, NONE, "Client addresses of the sockets, with commas"),
    row("fdlist.sips", CharBuf, SYSCALL, NONE, "Server addresses of the sockets, with commas"),
    row("fdlist.cports", CharBuf, SYSCALL, NONE, "Client ports of the sockets, with commas"),
    row("fdlist.sports", CharBuf, SYSCALL, NONE, "Server ports of the sockets, with commas"),
];
