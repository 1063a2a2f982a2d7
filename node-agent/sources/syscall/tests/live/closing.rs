//! What a descriptor stood for that was closed.

use saker_events::{descriptor::FdType, fd_facts::FdFacts, table::code};

use crate::harness::{FAR, Seen, child, finish_loading, probe, watch};

/// What a close returned, and the type and name of what was closed.
type Close = (i64, Option<(FdType, String)>);

/// The closes of a child that closes what it made.
fn closes(told: bool, act: impl FnOnce() -> i32 + Send) -> Option<Vec<Close>> {
    let mut probe = probe(&["close"])?;
    probe.set_closing(told).expect("a hook");
    finish_loading(&mut probe);
    let seen = watch(&mut probe, || child(act));
    let closed = |seen: &Seen| {
        let facts = FdFacts::parse(seen.bytes(2))?;
        Some((facts.kind, String::from_utf8_lossy(&facts.name).into_owned()))
    };
    let closes = seen.iter().filter(|event| event.code == code::SYSCALL_CLOSE_X);
    Some(closes.map(|event| (event.number(0), closed(event))).collect())
}

/// A file, a socket, and a file that another descriptor keeps open.
fn close_each() -> i32 {
    let file = call!(SYS_openat, libc::AT_FDCWD, c"/etc/hostname".as_ptr(), 0);
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    let directory = call!(SYS_openat, libc::AT_FDCWD, c"/etc".as_ptr(), 0);
    call!(SYS_dup3, directory, FAR, 0);
    for fd in [file, socket, directory, FAR + 1] {
        call!(SYS_close, fd);
    }
    0
}

const NONE: i64 = -libc::EBADF as i64;

#[test]
fn a_close_tells_what_was_closed() {
    let Some(closes) = closes(true, close_each) else { return };
    let known = |kind, name: &str| (0, Some((kind, name.to_owned())));
    let expected = [
        known(FdType::File, "/etc/hostname"),
        known(FdType::Ipv4, ""),
        known(FdType::Directory, "/etc"),
        (NONE, None),
    ];
    assert_eq!(closes, expected);
}

#[test]
fn nobody_pays_for_what_nobody_asks() {
    let Some(closes) = closes(false, close_each) else { return };
    assert_eq!(closes, [(0, None), (0, None), (0, None), (NONE, None)]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_caller_tells_the_same() {
    let act = || {
        let file = call!(SYS_openat, libc::AT_FDCWD, c"/etc/hostname".as_ptr(), 0);
        crate::harness::i386(6, u32::try_from(file).unwrap_or(0), 0)
    };
    let Some(closes) = closes(true, act) else { return };
    assert_eq!(closes, [(0, Some((FdType::File, "/etc/hostname".to_owned())))]);
}
