//! `fdlist.*`: the file descriptors that `poll` waits for.

use std::net::SocketAddr;

use super::prelude::*;
use crate::{fd::Fd, param};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fdlist.nums", CharBuf, SYSCALL, S(|r, _| each(r, |fd| Some(fd.num.to_string().into_bytes()))), "Numbers of the file descriptors, with commas").flags(COSTLY),
    row("fdlist.names", CharBuf, SYSCALL, S(|r, _| each(r, name)), "Names of the file descriptors, with commas").flags(COSTLY),
    row("fdlist.cips", CharBuf, SYSCALL, S(|r, _| each(r, |fd| ip(fd.socket?.source))), "Client addresses of the sockets, with commas").flags(COSTLY),
    row("fdlist.sips", CharBuf, SYSCALL, S(|r, _| each(r, |fd| ip(fd.socket?.destination))), "Server addresses of the sockets, with commas").flags(COSTLY),
    row("fdlist.cports", CharBuf, SYSCALL, S(|r, _| each(r, |fd| port(fd.socket?.source))), "Client ports of the sockets, with commas").flags(COSTLY),
    row("fdlist.sports", CharBuf, SYSCALL, S(|r, _| each(r, |fd| port(fd.socket?.destination))), "Server ports of the sockets, with commas").flags(COSTLY),
];

/// A fact of every descriptor in the list that has it, with commas.
fn each<'a>(r: &SyscallRecord, fact: fn(&Fd) -> Option<Vec<u8>>) -> Option<Value<'a>> {
    let facts: Vec<Vec<u8>> = r.polled()?.filter_map(|(fd, _)| fact(&fd)).collect();
    owned(facts.join(&b',')).filter(|_| !facts.is_empty())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn name(fd: &Fd) -> Option<Vec<u8>> {
    let name = fd.name.as_deref().filter(|name| !name.is_empty());
    Some(name.unwrap_or(b"<NA>").to_vec())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn ip(end: SocketAddr) -> Option<Vec<u8>> {
    Some(param::ip_only(end.ip()).into_bytes())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn port(end: SocketAddr) -> Option<Vec<u8>> {
    Some(end.port().to_string().into_bytes())
}
