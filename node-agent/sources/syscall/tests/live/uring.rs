//! Requests of io_uring are told as the calls they amount to, whoever gives them to the kernel.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use saker_events::table::EventRow;
use saker_source_syscall::{Hook, HookState, Probe};

use crate::{
    harness::{Seen, child, ready, watch},
    ring::{Request, Ring, SQPOLL},
};

const SKIP_SUCCESS: u8 = 1 << 6;
const CWD: i32 = libc::AT_FDCWD;
/// io_uring opens with O_LARGEFILE.
const LARGE: i64 = 2048;

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().to_str().expect("UTF-8")).expect("no NUL")
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().canonicalize().expect("its path");
    (folder, path)
}

fn address(text: &CString) -> u64 {
    text.as_ptr() as u64
}

/// A probe that reports these calls, or `None` where none sees requests.
fn sees_requests(calls: &[&str]) -> Option<Probe> {
    let probe = ready(calls)?;
    let attached = |hook: &Hook| hook.name == "io_uring_submit_req" && hook.state == HookState::Attached;
    if !probe.hooks().iter().any(attached) {
        eprintln!("skipped: needs the hooks that io_uring has since kernel 6.4");
        return None;
    }
    Some(probe)
}

/// Runs the request in a child in both modes, and gives the event of this name that it is told as, for each.
fn told(event: &str, request: impl Fn() -> Request + Sync) -> Vec<Seen> {
    let Some(mut probe) = sees_requests(&[event]) else { return Vec::new() };
    let mut one = |flags| {
        // Made here, so that the child does nothing else.
        let request = request();
        let seen = watch(&mut probe, || child(|| Ring::new(flags).run(request)));
        let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == event);
        let mut named = seen.iter().filter(named).cloned();
        let found = named.next().unwrap_or_else(|| panic!("no {event} in mode {flags}: {seen:?}"));
        assert_eq!(named.next().map(|seen| seen.code), None, "one {event} in mode {flags}");
        found
    };
    vec![one(0), one(SQPOLL)]
}

fn text(seen: &Seen, name: &str) -> String {
    let row = EventRow::of(seen.code).expect("a row");
    seen.text(row.param(name).unwrap_or_else(|| panic!("{} has no {name}", row.name)).0)
}

#[test]
fn an_open_tells_both_names_and_its_descriptor() {
    let (_keep, folder) = folder();
    fs::write(folder.join("target"), "x").expect("a file");
    std::os::unix::fs::symlink("target", folder.join("link")).expect("a link");
    let name = c(folder.join("link"));
    let request = || Request { opcode: 18, fd: CWD, addr: address(&name), op_flags: 2, ..Request::default() };
    for seen in told("openat", request) {
        assert!(seen.number(0) >= 3, "a descriptor: {seen:?}");
        assert_eq!((seen.number(1), seen.number(3) & !LARGE), (-100, 3), "the directory; O_RDWR");
        assert_eq!(text(&seen, "name"), folder.join("link").to_str().unwrap());
        assert_eq!(text(&seen, "resolved"), folder.join("target").to_str().unwrap());
    }
}

#[test]
fn openat2_tells_how_and_a_failure_its_arguments() {
    let name = c("no/such/file");
    let how = [libc::O_WRONLY as u64, 0, libc::RESOLVE_NO_SYMLINKS];
    let request = || {
        let addr = address(&name);
        Request { opcode: 28, fd: CWD, addr, off: how.as_ptr() as u64, len: 24, ..Request::default() }
    };
    for seen in told("openat2", request) {
        assert_eq!(seen.number(0), -i64::from(libc::ENOENT));
        assert_eq!((seen.number(3) & !LARGE, seen.number(5)), (2, 8), "O_WRONLY, NO_SYMLINKS");
        assert_eq!(text(&seen, "name"), "no/such/file");
        assert_eq!(text(&seen, "dirpath"), std::env::current_dir().unwrap().to_str().unwrap());
    }
}

/// Checks that the request succeeds and is told with these texts.
#[track_caller]
fn check(event: &str, request: impl Fn() -> Request + Sync, expected: &[(&str, &str)]) {
    for seen in told(event, request) {
        assert_eq!(seen.number(0), 0, "{event} succeeds: {seen:?}");
        for (name, value) in expected {
            assert_eq!(text(&seen, name), *value, "{event}.{name}");
        }
    }
}

#[test]
fn changes_of_directories_tell_their_paths() {
    let (_keep, folder) = folder();
    let at = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let [a, b] = [c(at("a")), c(at("b"))];
    let again = |make: &dyn Fn()| {
        for name in ["a", "b"] {
            drop(fs::remove_file(at(name)));
            drop(fs::remove_dir(at(name)));
        }
        make();
    };
    let file = || fs::write(at("a"), "x").expect("a file");
    let one = |opcode| Request { opcode, fd: CWD, addr: address(&a), ..Request::default() };
    let two = |opcode| Request { off: address(&b), len: CWD.cast_unsigned(), ..one(opcode) };
    check(
        "unlinkat",
        || {
            again(&file);
            one(36)
        },
        &[("name", &at("a"))],
    );
    check(
        "mkdirat",
        || {
            again(&|| ());
            Request { len: 0o700, ..one(37) }
        },
        &[("path", &at("a"))],
    );
    check(
        "renameat2",
        || {
            again(&file);
            two(35)
        },
        &[("oldpath", &at("a")), ("newpath", &at("b"))],
    );
    check(
        "linkat",
        || {
            again(&file);
            two(39)
        },
        &[("oldpath", &at("a")), ("newpath", &at("b"))],
    );
    check(
        "symlinkat",
        || {
            again(&|| ());
            Request { off: address(&b), ..one(38) }
        },
        &[("target", &at("a")), ("linkpath", &at("b"))],
    );
}

#[test]
fn success_without_completion_is_told_too() {
    let (_keep, folder) = folder();
    fs::write(folder.join("a"), "x").expect("a file");
    let name = c(folder.join("a"));
    let Some(mut probe) = sees_requests(&["unlinkat"]) else { return };
    let act = || {
        child(|| {
            let ring = Ring::new(0);
            let flags = SKIP_SUCCESS;
            ring.submit(Request { opcode: 36, flags, fd: CWD, addr: address(&name), ..Request::default() });
            // Much longer than the probe waits for a failure.
            std::thread::sleep(Duration::from_secs(6));
            0
        })
    };
    let seen = watch(&mut probe, act);
    let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == "unlinkat");
    let event = seen.iter().find(named).unwrap_or_else(|| panic!("no unlinkat: {seen:?}"));
    assert_eq!((event.number(0), event.text(2)), (0, folder.join("a").to_str().unwrap().to_owned()));
}

#[test]
fn a_connection_and_its_data_tell_both_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let mut to = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    to[2..4].copy_from_slice(&port.to_be_bytes());
    let connect = || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
        Request { opcode: 16, fd, addr: to.as_ptr() as u64, off: 16, ..Request::default() }
    };
    for seen in told("connect", connect) {
        assert_eq!(
            (seen.number(0), seen.bytes(3)[5..].to_vec()),
            (0, port.to_le_bytes().to_vec()),
            "{seen:?}"
        );
        assert_eq!(seen.bytes(1)[7..], [&[127, 0, 0, 1][..], &port.to_le_bytes()].concat());
    }
    let send = || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
        assert_eq!(call!(SYS_connect, fd, to.as_ptr(), 16), 0);
        Request { opcode: 26, fd, addr: b"hello".as_ptr() as u64, len: 5, ..Request::default() }
    };
    for seen in told("sendto", send) {
        assert_eq!((seen.number(0), seen.bytes(1)), (5, &b"hello"[..]));
        assert_eq!(seen.bytes(4)[7..], [&[127, 0, 0, 1][..], &port.to_le_bytes()].concat());
    }
    let receive = || {
        let mut fds = [0_i32; 2];
        assert_eq!(call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, fds.as_mut_ptr()), 0);
        assert_eq!(call!(SYS_write, fds[1], b"answer".as_ptr(), 6), 6);
        let room = Box::leak(Box::new([0_u8; 16]));
        Request { opcode: 27, fd: fds[0], addr: room.as_ptr() as u64, len: 16, ..Request::default() }
    };
    for seen in told("recvfrom", receive) {
        assert_eq!((seen.number(0), seen.bytes(1)), (6, &b"answer"[..]));
    }
}
