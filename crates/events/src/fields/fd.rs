//! `fd.*`: the file descriptor that the event makes or uses.

use std::net::{IpAddr, SocketAddr};

use saker_rules::spare;

use super::prelude::*;

use crate::{
    descriptor::{End, Layer, Socket},
    fd::Fd,
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fd.num", Int64, SYSCALL, S(|r, _| int(r.fd()?.num)), "Its number"),
    row("fd.type", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.kind?.name())), "Its type: `file`, `directory`, `ipv4`, `ipv6`, `unix`, `pipe` and so on"),
    row("fd.typechar", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.type_char())), "Its type as one character: `f`, `d`, `4`, `6`, `u`, `p` and so on"),
    row("fd.name", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.name.as_deref()?)), "Full path of a file; both ends of a connection"),
    row("fd.directory", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.directory()?)), "Directory of a file"),
    row("fd.filename", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.filename()?)), "Name of a file without its directory"),
    row("fd.ip", FieldType::IpAddr, SYSCALL, S(|r, _| both(r, |s| [s.source.ip(), s.destination.ip()].map(Value::Ip))), "Address of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER | COSTLY),
    row("fd.cip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.fd()?.client()?)), "Address of the client"),
    row("fd.sip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.fd()?.server()?)), "Address of the server"),
    row("fd.lip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(local(r)?)), "Address of this machine's end"),
    row("fd.rip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(remote(r)?)), "Address of the other end"),
    row("fd.port", Port, SYSCALL, S(|r, _| both(r, |s| [s.source.port(), s.destination.port()].map(|p| Value::Uint(p.into())))), "Port of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER | COSTLY),
    row("fd.cport", Port, SYSCALL, S(|r, _| port(r.fd()?.client()?)), "Port of the client"),
    row("fd.sport", Port, SYSCALL, S(|r, _| port(r.fd()?.server()?)), "Port of the server"),
    row("fd.lport", Port, SYSCALL, S(|r, _| port(local(r)?)), "Port of this machine's end"),
    row("fd.rport", Port, SYSCALL, S(|r, _| port(remote(r)?)), "Port of the other end"),
    row("fd.l4proto", CharBuf, SYSCALL, S(|r, _| text(known(r)?.protocol.name())), "Transport protocol: `tcp`, `udp`, `icmp` or `raw`"),
    row("fd.sockfamily", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.family()?)), "Socket family: `ip` or `unix`"),
    row("fd.is_server", Bool, SYSCALL, S(|r, _| boolean(is_server(r)?)), "Whether the process is the server of the connection"),
    row("fd.uid", CharBuf, SYSCALL, S(uid), "Thread id and number, as one text").flags(COSTLY),
    row("fd.containername", CharBuf, SYSCALL, S(|r, _| in_container(r, r.fd()?.name.as_deref()?)), "Container id and `fd.name`, with a colon between them").flags(COSTLY),
    row("fd.containerdirectory", CharBuf, SYSCALL, S(|r, _| in_container(r, r.fd()?.directory()?)), "Container id and `fd.directory`, with a colon between them").flags(COSTLY),
    row("fd.proto", Port, SYSCALL, S(|r, _| both(r, |s| [s.source.port(), s.destination.port()].map(|p| Value::Uint(p.into())))), "Service name of either port").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER | COSTLY),
    row("fd.cproto", CharBuf, SYSCALL, S(|r, _| service(r.fd()?.client()?)), "Service name of the client's port").flags(COSTLY),
    row("fd.sproto", CharBuf, SYSCALL, S(|r, _| service(r.fd()?.server()?)), "Service name of the server's port").flags(COSTLY),
    row("fd.lproto", CharBuf, SYSCALL, S(|r, _| service(local(r)?)), "Service name of the local port").flags(COSTLY),
    row("fd.rproto", CharBuf, SYSCALL, S(|r, _| service(remote(r)?)), "Service name of the remote port").flags(COSTLY),
    row("fd.net", IpNet, SYSCALL, S(|r, _| both(r, |s| [s.source.ip(), s.destination.ip()].map(Value::Ip))), "Network of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER | COSTLY),
    row("fd.cnet", IpNet, SYSCALL, S(|r, _| ip(r.fd()?.client()?)), "Network of the client").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.snet", IpNet, SYSCALL, S(|r, _| ip(r.fd()?.server()?)), "Network of the server").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.lnet", IpNet, SYSCALL, S(|r, _| ip(local(r)?)), "Network of this machine's end").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.rnet", IpNet, SYSCALL, S(|r, _| ip(remote(r)?)), "Network of the other end").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.connected", Bool, SYSCALL, S(|r, _| boolean(known(r)?.connected)), "Whether the socket is connected"),
    row("fd.name_changed", Bool, SYSCALL, S(|r, _| boolean(known(r)?.name_changed)), "Whether the event changed `fd.name`"),
    row("fd.cip.name", CharBuf, SYSCALL, N(|r, _| host_name(r, r.fd()?.client()?)), "Domain name of the client, if rules compare with it").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.sip.name", CharBuf, SYSCALL, N(|r, _| host_name(r, r.fd()?.server()?)), "Domain name of the server, if rules compare with it").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.lip.name", CharBuf, SYSCALL, N(|r, _| host_name(r, local(r)?)), "Domain name of this machine's end, if rules compare with it").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.rip.name", CharBuf, SYSCALL, N(|r, _| host_name(r, remote(r)?)), "Domain name of the other end, if rules compare with it").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.dev", Int32, SYSCALL, S(|r, _| int(known(r)?.dev.into())), "Device that holds the file"),
    row("fd.dev.major", Int32, SYSCALL, S(|r, _| int((known(r)?.dev >> 8 & 0xfff).into())), "Major number of the device that holds the file"),
    row("fd.dev.minor", Int32, SYSCALL, S(|r, _| int(minor(known(r)?.dev).into())), "Minor number of the device that holds the file"),
    row("fd.ino", Int64, SYSCALL, S(|r, _| int(known(r)?.ino.cast_signed())), "Inode of the file"),
    row("fd.nameraw", CharBuf, SYSCALL, S(|r, _| Some(Value::Text(r.fd()?.name_raw()))), "Path of a file as the caller gave it"),
    row("fd.types", CharBuf, SYSCALL, S(types), "Types of all open file descriptors, each once, or of one").list().takes(Index).flags(NO_RHS | COSTLY),
    row("fd.is_upper_layer", Bool, SYSCALL, S(|r, _| boolean(known(r)?.layer == Some(Layer::Upper))), "Whether the file is in the writable layer of an overlay"),
    row("fd.is_lower_layer", Bool, SYSCALL, S(|r, _| boolean(known(r)?.layer == Some(Layer::Lower))), "Whether the file is in a read-only layer of an overlay"),
];

/// The descriptor, if it is open: failed calls have a name but nothing behind it.
fn known<'r, 'e>(r: &'r SyscallRecord<'e>) -> Option<&'r Fd<'e>> {
    r.fd().filter(|fd| fd.kind.is_some())
}

fn both<'a>(r: &'a SyscallRecord<'_>, ends: fn(&Socket) -> [Value<'a>; 2]) -> Option<Value<'a>> {
    let mut list = spare::list();
    list.extend(ends(r.socket()?));
    Some(Value::List(list))
}

#[expect(clippy::unnecessary_wraps, reason = "getters give an Option")]
fn ip<'a>(end: SocketAddr) -> Option<Value<'a>> {
    Some(Value::Ip(end.ip()))
}

fn host_name<'a>(r: &SyscallRecord, end: SocketAddr) -> Option<Value<'a>> {
    r.header.host_names.of(end.ip())
}

fn port<'a>(end: SocketAddr) -> Option<Value<'a>> {
    uint(end.port().into())
}

/// Only of events that are about a descriptor.
fn types<'a>(r: &SyscallRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    r.fd()?;
    let mut list = spare::list();
    match arg {
        Some(one) => list.push(Value::text(r.descriptor_type(one.index?.into())?.name())),
        None => list.extend(r.descriptor_types()?.iter().map(|kind| Value::text(kind.name()))),
    }
    Some(Value::List(list))
}

/// The number: names of services are the reader's business.
fn service<'a>(end: SocketAddr) -> Option<Value<'a>> {
    owned(end.port().to_string())
}

/// This machine's end and the other one. Where the machine's addresses are known they decide, else who called.
fn sides(r: &SyscallRecord) -> Option<[SocketAddr; 2]> {
    let fd = r.fd()?;
    let (socket, end) = (fd.socket.filter(|s| !s.listening)?, fd.end?);
    let ours = r.processes.is_local(socket.source.ip()).unwrap_or(end == End::Client);
    let sides = [socket.source, socket.destination];
    Some(if ours { sides } else { [sides[1], sides[0]] })
}

fn local(r: &SyscallRecord) -> Option<SocketAddr> {
    sides(r).map(|[local, _]| local)
}

fn remote(r: &SyscallRecord) -> Option<SocketAddr> {
    sides(r).map(|[_, remote]| remote)
}

fn is_server(r: &SyscallRecord) -> Option<bool> {
    let fd = known(r)?;
    let Some(socket) = fd.socket else { return Some(false) };
    let called = |ip: IpAddr| r.processes.is_local(ip).unwrap_or(fd.end == Some(End::Server));
    Some(socket.listening || called(socket.destination.ip()))
}

fn uid<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    owned(format!("{}{}", r.event.tid, r.fd()?.num))
}

/// Outside of containers the id is empty here, unlike in `container.id`.
fn in_container<'a>(r: &SyscallRecord, name: &[u8]) -> Option<Value<'a>> {
    let container = r.process()?.container.as_ref().map_or("", |c| c.id());
    owned([container.as_bytes(), name].join(&b':'))
}

/// The kernel's own encoding: the low byte and the bits above the major number.
fn minor(dev: u32) -> u32 {
    dev & 0xff | dev >> 12 & 0xf_ff00
}
