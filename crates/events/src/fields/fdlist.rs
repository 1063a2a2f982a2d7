//! `fdlist.*`: the file descriptors that `poll` waits for.

use std::net::SocketAddr;

use super::prelude::*;
use crate::{
    descriptor::{Descriptor, Socket},
    param,
    table::ParamType,
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fdlist.nums", CharBuf, SYSCALL, S(|r, _| each(r, |fd, _| Some(fd.to_string().into_bytes()))), "Numbers of the file descriptors, with commas").flags(UNAVAILABLE),
    row("fdlist.names", CharBuf, SYSCALL, S(|r, _| each(r, name)), "Names of the file descriptors, with commas").flags(UNAVAILABLE),
    row("fdlist.cips", CharBuf, SYSCALL, S(|r, _| each(r, |_, d| ip(socket(d)?.source))), "Client addresses of the sockets, with commas").flags(UNAVAILABLE),
    row("fdlist.sips", CharBuf, SYSCALL, S(|r, _| each(r, |_, d| ip(socket(d)?.destination))), "Server addresses of the sockets, with commas").flags(UNAVAILABLE),
    row("fdlist.cports", CharBuf, SYSCALL, S(|r, _| each(r, |_, d| port(socket(d)?.source))), "Client ports of the sockets, with commas").flags(UNAVAILABLE),
    row("fdlist.sports", CharBuf, SYSCALL, S(|r, _| each(r, |_, d| port(socket(d)?.destination))), "Server ports of the sockets, with commas").flags(UNAVAILABLE),
];

/// A fact of every descriptor in the list that has it, with commas.
fn each<'a>(r: &SyscallRecord, fact: fn(i64, Option<&Descriptor>) -> Option<Vec<u8>>) -> Option<Value<'a>> {
    let (index, _) = r.row.params.iter().enumerate().find(|(_, p)| p.ty == ParamType::Fdlist)?;
    let list = param::fd_list(r.event.param(index)?);
    let facts: Vec<Vec<u8>> = list.filter_map(|(fd, _)| fact(fd, r.descriptor(fd))).collect();
    owned(facts.join(&b',')).filter(|_| !facts.is_empty())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn name(_: i64, descriptor: Option<&Descriptor>) -> Option<Vec<u8>> {
    let name = descriptor.map(|d| d.name.to_vec()).filter(|name| !name.is_empty());
    Some(name.unwrap_or_else(|| b"<NA>".to_vec()))
}

fn socket(descriptor: Option<&Descriptor>) -> Option<&Socket> {
    descriptor?.socket.as_deref()
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn ip(end: SocketAddr) -> Option<Vec<u8>> {
    Some(param::ip_only(end.ip()).into_bytes())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several facts")]
fn port(end: SocketAddr) -> Option<Vec<u8>> {
    Some(end.port().to_string().into_bytes())
}
