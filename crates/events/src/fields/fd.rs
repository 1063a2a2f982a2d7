//! `fd.*`: the file descriptor that the event makes or uses.

use super::prelude::*;
use crate::{
    fd::{Fd, Socket},
    table::{CREAT_FLAGS, FILE_FLAGS, symbol_value},
};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fd.num", Int64, SYSCALL, S(|r, _| int(r.fd()?.num)), "Its number"),
    row("fd.type", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.kind?.name())), "Its type: `file`, `directory`, `ipv4`, `ipv6`, `unix`, `pipe` and so on"),
    row("fd.typechar", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.type_char())), "Its type as one character: `f`, `d`, `4`, `6`, `u`, `p` and so on"),
    row("fd.name", CharBuf, SYSCALL, S(|r, _| text(&*r.fd()?.name)), "Full path of a file; both ends of a connection"),
    row("fd.directory", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.directory()?)), "Directory of a file"),
    row("fd.filename", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.filename()?)), "Name of a file without its directory"),
    row("fd.ip", FieldType::IpAddr, SYSCALL, S(|r, _| both(r, |s| [s.source.ip(), s.destination.ip()].map(Value::Ip))), "Address of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.cip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.socket()?.client())), "Address of the client"),
    row("fd.sip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.socket()?.server())), "Address of the server"),
    row("fd.lip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.socket()?.local())), "Address of this machine's end"),
    row("fd.rip", FieldType::IpAddr, SYSCALL, S(|r, _| ip(r.socket()?.remote())), "Address of the other end"),
    row("fd.port", Port, SYSCALL, S(|r, _| both(r, |s| [s.source.port(), s.destination.port()].map(|p| Value::Uint(p.into())))), "Port of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.cport", Port, SYSCALL, S(|r, _| port(r.socket()?.client())), "Port of the client"),
    row("fd.sport", Port, SYSCALL, S(|r, _| port(r.socket()?.server())), "Port of the server"),
    row("fd.lport", Port, SYSCALL, S(|r, _| port(r.socket()?.local())), "Port of this machine's end"),
    row("fd.rport", Port, SYSCALL, S(|r, _| port(r.socket()?.remote())), "Port of the other end"),
    row("fd.l4proto", CharBuf, SYSCALL, S(|r, _| text(r.fd().filter(|f| f.kind.is_some())?.l4proto())), "Transport protocol: `tcp`, `udp`, `icmp` or `raw`"),
    row("fd.sockfamily", CharBuf, SYSCALL, S(|r, _| text(r.fd()?.family()?)), "Socket family: `ip` or `unix`"),
    row("fd.is_server", Bool, SYSCALL, NONE, "Whether the process is the server of the connection"),
    row("fd.uid", CharBuf, SYSCALL, S(uid), "Thread id and number, as one text"),
    row("fd.containername", CharBuf, SYSCALL, S(|r, _| in_container(r, &r.fd()?.name)), "Container id and `fd.name`, with a colon between them"),
    row("fd.containerdirectory", CharBuf, SYSCALL, S(|r, _| in_container(r, r.fd()?.directory()?)), "Container id and `fd.directory`, with a colon between them"),
    row("fd.proto", Port, SYSCALL, S(|r, _| both(r, |s| [s.source.port(), s.destination.port()].map(|p| Value::Uint(p.into())))), "Service name of either port").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.cproto", CharBuf, SYSCALL, NONE, "Service name of the client's port"),
    row("fd.sproto", CharBuf, SYSCALL, NONE, "Service name of the server's port"),
    row("fd.lproto", CharBuf, SYSCALL, NONE, "Service name of the local port"),
    row("fd.rproto", CharBuf, SYSCALL, NONE, "Service name of the remote port"),
    row("fd.net", IpNet, SYSCALL, S(|r, _| both(r, |s| [s.source.ip(), s.destination.ip()].map(Value::Ip))), "Network of either end").quantifier(Endpoints).flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.cnet", IpNet, SYSCALL, S(|r, _| ip(r.socket()?.client())), "Network of the client").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.snet", IpNet, SYSCALL, S(|r, _| ip(r.socket()?.server())), "Network of the server").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.lnet", IpNet, SYSCALL, S(|r, _| ip(r.socket()?.local())), "Network of this machine's end").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.rnet", IpNet, SYSCALL, S(|r, _| ip(r.socket()?.remote())), "Network of the other end").flags(FILTER_ONLY | NO_RHS | NO_TRANSFORMER),
    row("fd.connected", Bool, SYSCALL, S(|r, _| boolean(known(r)?.connected)), "Whether the socket is connected"),
    row("fd.name_changed", Bool, SYSCALL, S(|r, _| boolean(known(r)?.name_changed)), "Whether the event changed `fd.name`"),
    row("fd.cip.name", CharBuf, SYSCALL, NONE, "Domain name of the client").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.sip.name", CharBuf, SYSCALL, NONE, "Domain name of the server").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.lip.name", CharBuf, SYSCALL, NONE, "Domain name of this machine's end").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.rip.name", CharBuf, SYSCALL, NONE, "Domain name of the other end").quantifier(Endpoints).flags(NO_RHS | NO_TRANSFORMER),
    row("fd.dev", Int32, SYSCALL, S(|r, _| int(dev(r)?.into())), "Device that holds the file"),
    row("fd.dev.major", Int32, SYSCALL, S(|r, _| int((dev(r)? >> 8 & 0xfff).into())), "Major number of the device that holds the file"),
    row("fd.dev.minor", Int32, SYSCALL, S(|r, _| int(minor(dev(r)?).into())), "Minor number of the device that holds the file"),
    row("fd.ino", Int64, SYSCALL, S(|r, _| int(ino(r)?)), "Inode of the file"),
    row("fd.nameraw", CharBuf, SYSCALL, S(|r, _| owned(r.fd()?.name_raw())), "Path of a file as the caller gave it"),
    row("fd.types", CharBuf, SYSCALL, NONE, "Types of all open file descriptors, or of one").list().takes(Index).flags(NO_RHS),
    row("fd.is_upper_layer", Bool, SYSCALL, S(|r, _| in_layer(r, "FD_UPPER_LAYER", "FD_UPPER_LAYER_CREAT")), "Whether the file is in the writable layer of an overlay"),
    row("fd.is_lower_layer", Bool, SYSCALL, S(|r, _| in_layer(r, "FD_LOWER_LAYER", "FD_LOWER_LAYER_CREAT")), "Whether the file is in a read-only layer of an overlay"),
];

/// The descriptor, if it is open: failed calls have a name but nothing behind it.
fn known<'a>(r: &'a SyscallRecord<'a>) -> Option<&'a Fd<'a>> {
    r.fd().filter(|fd| fd.kind.is_some())
}

fn both<'a>(r: &'a SyscallRecord<'a>, ends: fn(&Socket) -> [Value<'a>; 2]) -> Option<Value<'a>> {
    Some(Value::List(ends(r.socket()?).into()))
}

#[expect(clippy::unnecessary_wraps, reason = "getters give an Option")]
fn ip<'a>(end: std::net::SocketAddr) -> Option<Value<'a>> {
    Some(Value::Ip(end.ip()))
}

fn port<'a>(end: std::net::SocketAddr) -> Option<Value<'a>> {
    uint(end.port().into())
}

fn uid<'a>(r: &SyscallRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    owned(format!("{}{}", r.event.tid, r.fd()?.num))
}

fn in_container<'a>(r: &SyscallRecord, name: &[u8]) -> Option<Value<'a>> {
    let container = r.process()?.container.as_ref().map_or("host", |c| c.id());
    owned([container.as_bytes(), name].join(&b':'))
}

/// The device in the kernel's own encoding; 0 for what is in no file system.
fn dev(r: &SyscallRecord) -> Option<u32> {
    r.fd()?.kind?;
    Some(r.number("dev").and_then(|dev| u32::try_from(dev).ok()).unwrap_or(0))
}

fn ino(r: &SyscallRecord) -> Option<i64> {
    r.fd()?.kind?;
    Some(r.number("ino").unwrap_or(0).cast_signed())
}

/// Whether the flags name a layer of an overlay: those of `creat` are a table of their own.
fn in_layer<'a>(r: &SyscallRecord, flag: &str, creat_flag: &str) -> Option<Value<'a>> {
    r.fd()?.kind?;
    let set = |param, symbols, name| r.number(param).is_some_and(|f| f & symbol_value(symbols, name) != 0);
    boolean(set("flags", FILE_FLAGS, flag) || set("creat_flags", CREAT_FLAGS, creat_flag))
}

/// The kernel's own encoding: the low byte and the bits above the major number.
fn minor(dev: u32) -> u32 {
    dev & 0xff | dev >> 12 & 0xf_ff00
}
