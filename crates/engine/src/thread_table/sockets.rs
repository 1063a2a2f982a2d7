//! Sockets: made, bound, connected, and what sending and receiving tells of their ends (scap-format.md §6 and §7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use saker_events::{
    descriptor::{Descriptor, End, FdType, Protocol, Socket},
    fd::{EINPROGRESS, ip_type},
    param::{Address, Tuple, ip_only},
    table::{code, event_flags},
};

use super::{ThreadTable, files::closes_on_exec};
use crate::params::Params;

// Address families as events carry them.
const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
/// `SOCK_RAW`.
const RAW: u64 = 3;

/// `socket`.
pub(super) fn made(table: &mut ThreadTable, params: Params) {
    let Some(number) = params.signed_at(0).filter(|fd| *fd >= 0) else { return };
    let kind = match params.at(1).unwrap_or(0) {
        AF_UNIX => FdType::Unix,
        AF_INET => FdType::Ipv4,
        AF_INET6 => FdType::Ipv6,
        AF_NETLINK => FdType::Netlink,
        _ => FdType::Unknown,
    };
    let (ty, proto) = (params.at(2).unwrap_or(0), params.at(3).unwrap_or(0));
    let socket = kind.is_ip().then(|| Box::new(unconnected(kind)));
    let file = Descriptor {
        socket,
        protocol: if kind.is_ip() { protocol(ty, proto) } else { Protocol::Unknown },
        ..Descriptor::new(kind)
    };
    table.make_fd(number, file, closes_on_exec(params));
}

/// Of a type with flags, too; only a raw one has to have none.
fn protocol(ty: u64, proto: u64) -> Protocol {
    match (proto, ty & 0xff) {
        (0, 1) => Protocol::Tcp,
        (0, 2) => Protocol::Udp,
        _ => match Protocol::of_ip(proto) {
            Protocol::Unknown => Protocol::Unknown,
            _ if ty == RAW => Protocol::Raw,
            known => known,
        },
    }
}

/// A socket without addresses.
fn unconnected(kind: FdType) -> Socket {
    let nowhere =
        if kind == FdType::Ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let end = SocketAddr::new(nowhere, 0);
    Socket { source: end, destination: end, listening: false }
}

/// `socketpair`.
pub(super) fn paired(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0) != Some(0) {
        return;
    }
    for number in [params.signed_at(1), params.signed_at(2)].into_iter().flatten() {
        table.make_fd(number, Descriptor::new(FdType::Unix), false);
    }
}

/// `bind`: an IP socket with a port waits for calls from then on.
pub(super) fn bound(table: &mut ThreadTable, params: Params) {
    let address = params.event.param(1).and_then(Address::parse);
    let Some(address) = address.filter(|_| params.signed_at(0) == Some(0)) else { return };
    change(table, params, |file| {
        file.name = address.clone().into_text().into();
        if let Address::Ip(own) = address.unmapped()
            && own.port() != 0
        {
            file.socket =
                Some(Box::new(Socket { destination: own, listening: true, ..unconnected(ip_type(own)) }));
            file.kind = ip_type(own);
            file.end = Some(End::Server);
        }
    });
}

/// `connect`, also while it goes on in the background.
pub(super) fn connected(table: &mut ThreadTable, params: Params) {
    if !params.signed_at(0).is_some_and(|res| res >= 0 || res == EINPROGRESS) {
        return;
    }
    let begun = table.threads.get(params.event.tid).map(|t| &t.opening);
    let begun =
        begun.filter(|b| b.code == code::SOCKET_CONNECT_E).map(|b| b.text.clone()).unwrap_or_default();
    let called = Address::parse(&begun).map(Address::unmapped);
    match params.event.param(1).and_then(Tuple::parse) {
        Some(Tuple::Ip(source, destination)) => {
            let told = params.event.param(3).and_then(Address::parse).map(Address::unmapped);
            let destination = match (told, called) {
                (Some(Address::Ip(told)), Some(Address::Ip(called))) if told == destination => called,
                _ => destination,
            };
            change(table, params, |file| call(file, source, destination));
        }
        Some(Tuple::Unix(source, destination, path)) => {
            let path = match (params.event.param(3).and_then(Address::parse), called) {
                (Some(Address::Unix(told)), Some(Address::Unix(called))) if told == path => called,
                _ => path,
            };
            let name = Tuple::Unix(source, destination, path).into_text();
            change(table, params, |file| connect(file, FdType::Unix, name));
        }
        _ => connected_by_address(table, params, called.as_ref()),
    }
}

/// A connection of which only the address is known that was called: it gets no name of its own, nor a role.
fn connected_by_address(table: &mut ThreadTable, params: Params, called: Option<&Address>) {
    change(table, params, |file| {
        file.connected = true;
        match called {
            Some(Address::Ip(destination)) => {
                file.kind = ip_type(*destination);
                let known = file.socket.as_deref().copied().filter(|s| ip_type(s.source) == file.kind);
                let known = known.unwrap_or_else(|| unconnected(file.kind));
                let socket = Socket { destination: *destination, listening: false, ..known };
                file.socket = Some(Box::new(socket));
            }
            Some(_) => file.name = b"NULL".as_slice().into(),
            None => {}
        }
    });
}

fn connect(file: &mut Descriptor, kind: FdType, name: Vec<u8>) {
    file.kind = kind;
    file.name = name.into();
    file.end = file.end.or(Some(End::Client));
    file.connected = true;
}

fn call(file: &mut Descriptor, source: SocketAddr, destination: SocketAddr) {
    let (kind, server) = (ip_type(destination), file.end == Some(End::Server));
    let turned = server && kind == FdType::Ipv4 && file.protocol == Protocol::Udp;
    let (source, destination) = match file.socket.as_deref() {
        Some(old) if same(old, source, destination) => (old.source, old.destination),
        _ if turned => (destination, source),
        _ => (source, destination),
    };
    file.socket = Some(Box::new(Socket { source, destination, listening: false }));
    let name = shown(file.protocol, source, destination);
    connect(file, kind, name);
}

/// The same pair of ends, in either order.
fn same(old: &Socket, source: SocketAddr, destination: SocketAddr) -> bool {
    let ends = (old.source, old.destination);
    ends == (source, destination) || ends == (destination, source)
}

/// Both ends as text; without ports where there are none.
fn shown(protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    match protocol {
        Protocol::Icmp | Protocol::Raw => {
            format!("{}->{}", ip_only(source.ip()), ip_only(destination.ip())).into_bytes()
        }
        Protocol::Unknown => b"<unknown>".to_vec(),
        _ => Tuple::Ip(source, destination).into_text(),
    }
}

/// `accept` and `accept4`.
pub(super) fn accepted(table: &mut ThreadTable, params: Params) {
    let Some(number) = params.signed_at(0).filter(|fd| *fd >= 0) else { return };
    let Some(tuple) = params.event.param(1).and_then(Tuple::parse) else { return };
    let (kind, socket) = match tuple {
        Tuple::Ip(source, destination) => {
            (ip_type(destination), Some(Box::new(Socket { source, destination, listening: false })))
        }
        Tuple::Unix(..) => (FdType::Unix, None),
        Tuple::Other(_) => return,
    };
    let file = Descriptor {
        protocol: if socket.is_some() { Protocol::Tcp } else { Protocol::Unknown },
        socket,
        name: tuple.into_text().into(),
        end: Some(End::Server),
        connected: true,
        ..Descriptor::new(kind)
    };
    table.make_fd(number, file, params.row.param("flags").is_some() && closes_on_exec(params));
}

/// What moved, and which way.
pub(super) fn moved(table: &mut ThreadTable, params: Params) {
    let Some(number) = used(table, params) else { return };
    let tid = params.event.tid;
    if params.signed_at(0).is_none_or(|res| res < 0) {
        return;
    }
    let sent = params.row.any(event_flags::WRITES_TO_FD);
    let tuple = params.row.param("tuple").and_then(|(at, _)| params.event.param(at)).and_then(Tuple::parse);
    if sent
        && table.fd(tid, number).is_none()
        && let Some(Tuple::Ip(_, destination)) = tuple
    {
        let kind = ip_type(destination);
        let socket = Some(Box::new(unconnected(kind)));
        let file = Descriptor { socket, protocol: Protocol::Udp, ..Descriptor::new(kind) };
        table.make_fd(number, file, false);
    }
    let Some(fd) = table.fd(tid, number) else { return };
    let tcp = fd.file.kind == FdType::Ipv4 && fd.file.protocol == Protocol::Tcp;
    let (ip, named) = (fd.file.kind.is_ip(), !fd.file.name.is_empty());
    match tuple {
        Some(Tuple::Ip(source, destination)) if ip && !(tcp && named) => {
            let (source, destination) = table.filled(source, destination);
            change(table, params, |file| learn(file, source, destination, sent));
        }
        Some(tuple @ Tuple::Unix(..)) if fd.file.kind == FdType::Unix && !(tcp && named) => {
            change(table, params, |file| file.name = tuple.into_text().into());
        }
        _ => {}
    }
    connects(table, tid, number);
}

/// `read`, `write` and their like: an IP socket that works is connected.
pub(super) fn used_io(table: &mut ThreadTable, params: Params) {
    if params.signed_at(0).is_some_and(|res| res >= 0)
        && let Some(number) = used(table, params)
    {
        connects(table, params.event.tid, number);
    }
}

fn connects(table: &mut ThreadTable, tid: i64, number: i64) {
    if table.fd(tid, number).is_some_and(|fd| fd.file.kind.is_ip() && !fd.file.connected) {
        table.change_fd(tid, number, |file| file.connected = true);
    }
}

/// The addresses of a packet, and which end we are if nobody knew.
fn learn(file: &mut Descriptor, source: SocketAddr, destination: SocketAddr, sent: bool) {
    if file.protocol == Protocol::Unknown {
        file.protocol = Protocol::Udp;
    }
    let old = file.socket.as_deref().copied().unwrap_or_else(|| unconnected(file.kind));
    if same(&old, source, destination) {
        return;
    }
    let listening = old.listening && file.kind == FdType::Ipv6;
    let mut new = Socket { source, destination: filled_in(old.destination, destination), listening };
    let end = *file.end.get_or_insert(match (file.kind, sent) {
        (FdType::Ipv4, false) => End::Server,
        _ => End::Client,
    });
    if (end == End::Client) != sent {
        (new.source, new.destination) = (new.destination, new.source);
    }
    file.name = shown(file.protocol, new.source, new.destination).into();
    file.socket = Some(Box::new(new));
}

/// What is known stays.
fn filled_in(old: SocketAddr, new: SocketAddr) -> SocketAddr {
    let ip = if old.ip().is_unspecified() { new.ip() } else { old.ip() };
    let port = if old.port() == 0 { new.port() } else { old.port() };
    SocketAddr::new(ip, port)
}

/// The number of the descriptor that the event uses.
fn used(table: &ThreadTable, params: Params) -> Option<i64> {
    let thread = table.threads.get(params.event.tid)?;
    Some(thread.last_fd).filter(|fd| *fd >= 0)
}

fn change(table: &mut ThreadTable, params: Params, change: impl FnOnce(&mut Descriptor)) {
    if let Some(number) = used(table, params) {
        table.change_fd(params.event.tid, number, change);
    }
}

impl ThreadTable {
    /// The interface with this address.
    pub(super) fn interface_of(&self, address: IpAddr) -> Option<IpAddr> {
        let same = |own: &IpAddr| match (own, address) {
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                own.segments().iter().take(4).eq(other.segments().iter().take(4))
            }
            _ => *own == address,
        };
        self.interfaces.iter().map(|(own, _)| *own).find(same)
    }

    /// An end that is nowhere is at one of the machine's own addresses.
    fn filled(&self, source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
        if source.ip().is_unspecified() {
            (self.nearest(source, destination.ip()), destination)
        } else if destination.ip().is_unspecified() {
            (source, self.nearest(destination, source.ip()))
        } else {
            (source, destination)
        }
    }

    /// The interface with the peer's address, in its network, or the first that is not for the machine alone.
    fn nearest(&self, end: SocketAddr, peer: IpAddr) -> SocketAddr {
        let family = || self.interfaces.iter().filter(|(own, _)| own.is_ipv4() == peer.is_ipv4());
        let equal = family().find(|(own, _)| *own == peer);
        let near = || family().find(|(own, mask)| in_network(*own, *mask, peer));
        let first = || family().find(|(own, _)| !own.is_loopback());
        let found = equal.or_else(near).or_else(first);
        found.map_or(end, |(own, _)| SocketAddr::new(*own, end.port()))
    }
}

fn in_network(own: IpAddr, mask: IpAddr, peer: IpAddr) -> bool {
    match (own, mask, peer) {
        (IpAddr::V4(own), IpAddr::V4(mask), IpAddr::V4(peer)) => own & mask == peer & mask,
        (IpAddr::V6(own), _, IpAddr::V6(peer)) => {
            own.segments().iter().take(4).eq(peer.segments().iter().take(4))
        }
        _ => false,
    }
}
