//! Outgoing connections.

use std::{
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    os::unix::net::UnixListener,
};

use crate::harness::{Seen, child, only};

const CONNECT: u16 = 23;
const LOCALHOST: [u8; 4] = [127, 0, 0, 1];

/// Connects a child to the address.
fn connect(family: i32, address: &[u8]) -> Option<Seen> {
    let act = || {
        child(|| {
            let fd = call!(SYS_socket, family, libc::SOCK_STREAM, 0);
            call!(SYS_connect, fd, address.as_ptr(), address.len())
        })
    };
    only(&["connect"], CONNECT, act)
}

fn ip4(port: u16) -> Vec<u8> {
    [&[2, 0][..], &port.to_be_bytes(), &LOCALHOST, &[0; 8]].concat()
}

fn ip6(port: u16) -> Vec<u8> {
    [&[10, 0][..], &port.to_be_bytes(), &[0; 4], &Ipv6Addr::LOCALHOST.octets(), &[0; 4]].concat()
}

fn unix(path: &[u8]) -> Vec<u8> {
    [&[1, 0], path].concat()
}

#[test]
fn connect_v4_tells_both_ends() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let Some(event) = connect(libc::AF_INET, &ip4(port)) else { return };
    let [family, tuple @ ..] = event.bytes(1) else { panic!("a tuple") };
    assert_eq!((event.number(0), *family, tuple.len()), (0, 2, 12));
    assert_eq!((&tuple[..4], &tuple[6..10]), (&LOCALHOST[..], &LOCALHOST[..]));
    assert_ne!(&tuple[4..6], [0, 0], "the port the kernel chose");
    assert_eq!(tuple[10..], port.to_le_bytes());
    assert!(event.number(2) >= 3);
    assert_eq!(event.bytes(3), [&[2, 127, 0, 0, 1][..], &port.to_le_bytes()].concat());
    assert_eq!(event.number(4), i64::from(libc::IPPROTO_TCP));
}

#[test]
fn connect_v6_tells_both_ends() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
    let port = listener.local_addr().expect("its address").port();
    let Some(event) = connect(libc::AF_INET6, &ip6(port)) else { return };
    let tuple = event.bytes(1);
    assert_eq!((tuple[0], tuple.len()), (10, 37));
    assert_eq!(tuple[1..17], Ipv6Addr::LOCALHOST.octets());
    assert_eq!(tuple[19..35], Ipv6Addr::LOCALHOST.octets());
    assert_eq!(tuple[35..], port.to_le_bytes());
    assert_eq!(event.bytes(3)[17..], port.to_le_bytes());
}

#[test]
fn connect_unix_tells_the_path() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).expect("a listener");
    let ended = format!("{}\0", path.display());
    let Some(event) = connect(libc::AF_UNIX, &unix(ended.as_bytes())) else { return };
    assert_eq!(event.bytes(3), [&[1], ended.as_bytes()].concat());
    let tuple = event.bytes(1);
    assert_eq!((tuple[0], &tuple[17..]), (1, ended.as_bytes()));
    assert_ne!(tuple[1..9], [0; 8], "the own socket");
    assert_ne!(tuple[9..17], [0; 8], "the peer");
}

#[test]
fn a_failed_connect_keeps_the_address() {
    // Nobody listens there, whatever other tests do.
    let port = 1_u16;
    let Some(event) = connect(libc::AF_INET, &ip4(port)) else { return };
    assert_eq!(event.number(0), -i64::from(libc::ECONNREFUSED));
    assert_eq!(event.bytes(1), b"");
    assert_eq!(event.bytes(3), [&[2, 127, 0, 0, 1][..], &port.to_le_bytes()].concat());
}

#[test]
fn an_abstract_name_loses_its_first_nul() {
    let Some(event) = connect(libc::AF_UNIX, &unix(b"\0no such name")) else { return };
    assert_eq!(event.number(0), -i64::from(libc::ECONNREFUSED));
    assert_eq!(event.bytes(3), b"\x01no such name\0");
}

/// i386 programs may connect through `socketcall`, with the arguments in memory.
#[cfg(target_arch = "x86_64")]
#[test]
fn an_i386_socketcall_is_a_connect() {
    use crate::harness::{i386, low_page};
    let address = low_page(&ip4(9));
    let act = || {
        child(|| {
            let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
            let arguments = [fd.cast_unsigned(), address, 16].map(u32::to_le_bytes);
            i386(102, 3, low_page(arguments.as_flattened()))
        })
    };
    let Some(event) = only(&["connect"], CONNECT, act) else { return };
    assert_eq!(event.number(0), 0);
    assert_eq!(event.bytes(3), [2, 127, 0, 0, 1, 9, 0]);
    assert_eq!(event.bytes(1)[11..], [9, 0]);
}
