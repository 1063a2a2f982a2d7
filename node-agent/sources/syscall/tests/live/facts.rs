//! What events tell of their descriptors.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
};

use saker_events::{
    descriptor::{End, FdType, Protocol},
    fd_facts::FdFacts,
    table::EventRow,
};

use crate::harness::{FAR, Seen, child, probe, watch};

/// The facts of the child's last event of that name.
fn facts_of(seen: &[Seen], event: &str) -> Seen {
    let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == event);
    seen.iter().rfind(named).unwrap_or_else(|| panic!("no {event}: {seen:?}")).clone()
}

fn parse<'a>(seen: &'a Seen, event: &str) -> FdFacts<'a> {
    let (at, _) = EventRow::of(seen.code).and_then(|row| row.param("fdfacts")).expect("facts");
    FdFacts::parse(seen.bytes(at)).unwrap_or_else(|| panic!("{event} without facts: {seen:?}"))
}

#[track_caller]
fn check(event: &str, act: impl FnOnce() -> i32 + Send, kind: FdType, name: &str) {
    let Some(mut probe) = probe(&[event]) else { return };
    let seen = watch(&mut probe, || child(act));
    let seen = facts_of(&seen, event);
    let facts = parse(&seen, event);
    assert_eq!((facts.kind, &*String::from_utf8_lossy(&facts.name)), (kind, name), "{event}");
}

#[test]
fn files_directories_and_pipes_are_known_behind_their_numbers() {
    let open = |name: &std::ffi::CStr| call!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0);
    check("dup", || call!(SYS_dup, open(c"/etc/hostname")), FdType::File, "/etc/hostname");
    check("fchdir", || call!(SYS_fchdir, open(c"/etc")), FdType::Directory, "/etc");
    let mut fds = [0_i32; 2];
    let mut dup_pipe = || {
        call!(SYS_pipe2, fds.as_mut_ptr(), 0);
        call!(SYS_dup3, fds[0], FAR, 0)
    };
    check("dup3", &mut dup_pipe, FdType::Pipe, "");
    check("memfd_create", || call!(SYS_memfd_create, c"x".as_ptr(), 0), FdType::Memfd, "x");
    check("eventfd2", || call!(SYS_eventfd2, 0, 0), FdType::Event, "");
}

/// Without a path the call is about the descriptor itself.
#[test]
fn a_look_at_a_descriptor_tells_what_it_is() {
    let mut told = [0_u8; 256];
    let at = told.as_mut_ptr() as usize;
    let look = |open: &'static std::ffi::CStr, path: &'static std::ffi::CStr| {
        move || {
            let fd = call!(SYS_openat, libc::AT_FDCWD, open.as_ptr(), 0);
            call!(SYS_newfstatat, fd, path.as_ptr(), at, libc::AT_EMPTY_PATH)
        }
    };
    check("newfstatat", look(c"/etc/hostname", c""), FdType::File, "/etc/hostname");
    check("newfstatat", look(c"/etc", c"hostname"), FdType::Directory, "/etc");
}

#[test]
fn a_connection_is_known_after_dup_whatever_was_closed_before() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let address = [&[2, 0][..], &port.to_be_bytes(), &[127, 0, 0, 1], &[0; 8]].concat();
    let Some(mut probe) = probe(&["dup3"]) else { return };
    let seen = watch(&mut probe, || {
        child(|| {
            let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
            call!(SYS_connect, fd, address.as_ptr(), 16);
            call!(SYS_dup3, fd, 0, 0)
        })
    });
    let seen = facts_of(&seen, "dup3");
    let facts = parse(&seen, "dup3");
    assert_eq!((facts.kind, facts.protocol, facts.connected), (FdType::Ipv4, Protocol::Tcp, true));
    assert_eq!(
        (facts.end, facts.socket.map(|socket| socket.destination.port())),
        (Some(End::Client), Some(port))
    );
}

/// Whatever the ports are: that of the listener is one that the machine might have chosen itself.
#[test]
fn an_accepted_connection_is_the_servers_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let Some(mut probe) = probe(&["dup3"]) else { return };
    let seen = watch(&mut probe, || {
        child(|| {
            let _client = TcpStream::connect(address).expect("a connection");
            let (accepted, _) = listener.accept().expect("the other end of it");
            call!(SYS_dup3, accepted.as_raw_fd(), FAR, 0)
        })
    });
    let seen = facts_of(&seen, "dup3");
    let facts = parse(&seen, "dup3");
    let socket = facts.socket.expect("both ends");
    assert_eq!((facts.end, socket.destination, facts.connected), (Some(End::Server), address, true));
}

#[test]
fn a_socket_that_waits_for_messages_has_its_address() {
    let Some(mut probe) = probe(&["dup3"]) else { return };
    let address: [u8; 16] = [2, 0, 0x30, 0x39, 127, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    let seen = watch(&mut probe, || {
        child(|| {
            let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
            call!(SYS_bind, fd, address.as_ptr(), 16);
            call!(SYS_dup3, fd, FAR, 0)
        })
    });
    let seen = facts_of(&seen, "dup3");
    let facts = parse(&seen, "dup3");
    assert_eq!((facts.end, &*facts.name), (Some(End::Server), &b"127.0.0.9:12345"[..]));
}

#[test]
fn a_socket_is_of_its_family() {
    let make = |family: i32| move || call!(SYS_socket, family, libc::SOCK_STREAM, 0);
    check("socket", make(libc::AF_INET), FdType::Ipv4, "");
    check("socket", make(libc::AF_INET6), FdType::Ipv6, "");
}

/// The kernel keeps such names without an end, in memory that held a longer one before.
#[test]
fn an_abstract_name_ends_where_it_ends() {
    let Some(mut probe) = probe(&["dup3"]) else { return };
    let bind = |name: &[u8]| {
        let fd = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0);
        let address = [&1_u16.to_ne_bytes()[..], name].concat();
        call!(SYS_bind, fd, address.as_ptr(), address.len());
        fd
    };
    let seen = watch(&mut probe, || {
        child(|| {
            (0..200_u8).map(|at| bind(&[b"\0longer-than-", &[at; 8][..]].concat())).for_each(|fd| {
                call!(SYS_close, fd);
            });
            call!(SYS_dup3, bind(b"\0short-name"), FAR, 0)
        })
    });
    let seen = facts_of(&seen, "dup3");
    assert_eq!(String::from_utf8_lossy(&parse(&seen, "dup3").name), "short-name");
}
