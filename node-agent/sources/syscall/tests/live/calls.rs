//! Calls whose events are made by the table: one case per kind of parameter, and the arguments of every family.

use saker_events::table::{EventRow, code};

use crate::harness::{FAR, Seen, child, probe, watch};

/// A number or a text of a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Is<'a> {
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Runs `act` in a child and compares the parameters of its first event of that name.
#[track_caller]
pub(crate) fn check(event: &str, act: impl FnOnce() -> i32 + Send, expected: &[(&str, Is)]) -> Option<Seen> {
    let mut probe = probe(&[event])?;
    let seen = watch(&mut probe, || child(act));
    let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == event);
    let found = seen.iter().find(named).unwrap_or_else(|| panic!("no {event}: {seen:?}")).clone();
    for (name, is) in expected {
        compare(&found, name, *is);
    }
    Some(found)
}

#[track_caller]
fn compare(seen: &Seen, name: &str, is: Is) {
    let row = EventRow::of(seen.code).expect("a row");
    let (at, _) = row.param(name).unwrap_or_else(|| panic!("{} has no {name}", row.name));
    match is {
        Is::Number(number) => assert_eq!(seen.number(at), number, "{}.{name}", row.name),
        Is::Text(text) => assert_eq!(seen.text(at), text, "{}.{name}", row.name),
        Is::Bytes(bytes) => assert_eq!(seen.bytes(at), bytes, "{}.{name}", row.name),
    }
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().canonicalize().expect("its path").to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn links_tell_both_names_and_the_directory() {
    let (_keep, folder) = folder();
    let at = format!("{folder}\0");
    check(
        "symlinkat",
        || {
            let dir = call!(SYS_openat, -1, at.as_ptr(), libc::O_DIRECTORY);
            call!(SYS_symlinkat, c"/etc/shadow".as_ptr(), dir, c"x".as_ptr())
        },
        &[
            ("res", Is::Number(0)),
            ("target", Is::Text("/etc/shadow")),
            ("linkpath", Is::Text("x")),
            ("dirpath", Is::Text(&folder)),
        ],
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_link_without_descriptors_tells_the_working_directory() {
    let cwd = std::env::current_dir().expect("a directory");
    check(
        "link",
        || call!(SYS_link, c"/etc/shadow".as_ptr(), c"no/such/place".as_ptr()),
        &[
            ("res", Is::Number(-i64::from(libc::ENOENT))),
            ("oldpath", Is::Text("/etc/shadow")),
            ("newpath", Is::Text("no/such/place")),
            ("olddirpath", Is::Text("")),
            ("newdirpath", Is::Text(cwd.to_str().expect("UTF-8"))),
        ],
    );
}

#[test]
fn flags_have_the_numbers_of_the_event() {
    check(
        "unshare",
        || call!(SYS_unshare, libc::CLONE_NEWUTS | libc::CLONE_FILES),
        &[("res", Is::Number(0)), ("flags", Is::Number(128 | 1))],
    );
    check(
        "ptrace",
        || call!(SYS_ptrace, libc::PTRACE_ATTACH, 1 << 30, 0x1234_usize, 0),
        &[
            ("res", Is::Number(-i64::from(libc::ESRCH))),
            ("request", Is::Number(11)),
            ("pid", Is::Number(1 << 30)),
            ("addr", Is::Bytes(&[0, 0x34, 0x12, 0, 0, 0, 0, 0, 0])),
        ],
    );
    check(
        "socket",
        || call!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0x300),
        &[("domain", Is::Number(17)), ("proto", Is::Number(0x300)), ("flags", Is::Number(4096))],
    );
    check(
        "fcntl",
        || call!(SYS_fcntl, 1, libc::F_DUPFD_CLOEXEC, FAR),
        &[
            ("res", Is::Number(FAR.into())),
            ("fd", Is::Number(1)),
            ("cmd", Is::Number(26)),
            ("arg", Is::Number(FAR.into())),
        ],
    );
}

#[test]
fn numbers_come_from_memory_and_from_the_kernel() {
    let limits = [1000_u64, 2000];
    check(
        "prlimit",
        || call!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, limits.as_ptr(), 0),
        &[
            ("newcur", Is::Number(1000)),
            ("newmax", Is::Number(2000)),
            ("oldcur", Is::Number(-1)),
            ("resource", Is::Number(7)),
        ],
    );
    let mut fds = [0_i32; 2];
    let seen = check(
        "pipe2",
        || call!(SYS_pipe2, fds.as_mut_ptr(), libc::O_CLOEXEC),
        &[("res", Is::Number(0)), ("flags", Is::Number(4096))],
    );
    let Some(seen) = seen else { return };
    assert!(seen.number(1) >= 3 && seen.number(2) > seen.number(1) && seen.number(3) > 0, "{seen:?}");
    check(
        "kill",
        || call!(SYS_kill, 1 << 30, libc::SIGTERM),
        &[("pid", Is::Number(1 << 30)), ("sig", Is::Number(15))],
    );
    check("setuid", || call!(SYS_setuid, 1234), &[("uid", Is::Number(1234)), ("res", Is::Number(0))]);
}

#[test]
fn an_option_says_what_is_behind_it() {
    check(
        "prctl",
        || call!(SYS_prctl, libc::PR_SET_NAME, c"other".as_ptr()),
        &[("option", Is::Number(15)), ("arg2_str", Is::Text("other")), ("arg2_int", Is::Number(0))],
    );
    check(
        "prctl",
        || call!(SYS_prctl, libc::PR_GET_DUMPABLE, c"none".as_ptr()),
        &[("arg2_str", Is::Bytes(b""))],
    );
    let mut reaps = 7_i32;
    check(
        "prctl",
        || call!(SYS_prctl, libc::PR_GET_CHILD_SUBREAPER, &raw mut reaps),
        &[("res", Is::Number(0)), ("arg2_int", Is::Number(0))],
    );
    check("semctl", || call!(SYS_semctl, 1 << 30, 0, libc::IPC_RMID), &[("cmd", Is::Number(4))]);
    check("semctl", || call!(SYS_semctl, 1 << 30, 0, 12), &[("cmd", Is::Number(512))]);
}

#[test]
fn what_is_not_pointed_to_is_none() {
    let nothing = 0_usize;
    check("io_uring_enter", || call!(SYS_io_uring_enter, -1, 0, 0, 0, nothing, 0), &[("sig", Is::Number(0))]);
    check(
        "prlimit",
        || call!(SYS_prlimit64, 0, libc::RLIMIT_CORE, nothing, nothing),
        &[("newcur", Is::Number(-1))],
    );
    let rest = [0_i64, 1_500_000];
    check("nanosleep", || call!(SYS_nanosleep, rest.as_ptr(), 0), &[("interval", Is::Number(1_500_000))]);
    check("nanosleep", || call!(SYS_nanosleep, nothing, 0), &[("interval", Is::Number(-1))]);
}

/// The buffer is longer than the message, and holds something already.
#[test]
fn a_message_tells_its_own_bytes_and_what_came_with_it() {
    let mut buffer = *b"0123456789";
    let mut control = [0_u8; 64];
    let mut fds = [0_i32; 2];
    let part = [buffer.as_mut_ptr() as usize, buffer.len()];
    let message = [0, 0, part.as_ptr() as usize, 1, control.as_mut_ptr() as usize, control.len(), 0];
    let receive = || {
        call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_DGRAM, 0, fds.as_mut_ptr());
        let on = 1_i32;
        call!(SYS_setsockopt, fds[1], libc::SOL_SOCKET, libc::SO_PASSCRED, &raw const on, 4);
        call!(SYS_sendto, fds[0], b"hey".as_ptr(), 3, 0, 0, 0);
        call!(SYS_recvmsg, fds[1], message.as_ptr(), 0)
    };
    let Some(seen) = check("recvmsg", receive, &[("res", Is::Number(3)), ("data", Is::Bytes(b"hey"))]) else {
        return;
    };
    let credentials = i64::from_le_bytes(seen.bytes(4)[..8].try_into().expect("a length"));
    assert_eq!((credentials, seen.bytes(4).len()), (28, 32), "SCM_CREDENTIALS");
}

#[test]
fn a_call_on_memory_tells_how_much_there_is() {
    let Some(seen) = check("brk", || call!(SYS_brk, 0), &[("vm_swap", Is::Number(0))]) else { return };
    assert!(seen.number(1) >= seen.number(2) && seen.number(2) > 100, "{seen:?}");
}

#[test]
fn a_call_without_an_event_of_its_own_is_generic() {
    let Some(mut probe) = probe(&["madvise"]) else { return };
    let seen = watch(&mut probe, || child(|| call!(SYS_madvise, 0, 0, 0)));
    let event = seen.iter().find(|seen| seen.code == code::GENERIC_X).expect("the madvise");
    let call = saker_events::table::syscall(u16::try_from(event.number(0)).expect("an id")).expect("known");
    assert_eq!((call.name, event.number(1)), ("madvise", libc::SYS_madvise));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_i386_call_is_the_same_event() {
    use crate::harness::{i386, low_page};
    let name = low_page(b"/no/such/directory\0");
    check(
        "mkdir",
        || i386(39, name, 0o700),
        &[
            ("res", Is::Number(-i64::from(libc::ENOENT))),
            ("path", Is::Text("/no/such/directory")),
            ("mode", Is::Number(0o700)),
        ],
    );
    check("setuid", || i386(213, 4321, 0), &[("uid", Is::Number(4321))]);
}

#[test]
fn a_datagram_tells_both_ends() {
    let address: [u8; 16] = [2, 0, 0x12, 0x34, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let send = || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
        call!(SYS_sendto, fd, b"hello".as_ptr(), 5, 0, address.as_ptr(), 16)
    };
    let Some(seen) = check("sendto", send, &[("data", Is::Bytes(b"hello")), ("size", Is::Number(5))]) else {
        return;
    };
    let tuple = seen.bytes(4);
    assert_eq!(
        (tuple.len(), tuple[0], &tuple[7..11], &tuple[11..]),
        (13, 2, &[127, 0, 0, 1][..], &[0x34, 0x12][..])
    );
    let part = libc::iovec { iov_base: c"hello".as_ptr().cast_mut().cast(), iov_len: 5 };
    let parts = [part.iov_base as usize, 5, part.iov_base as usize, 2];
    let message = [address.as_ptr() as usize, 16, parts.as_ptr() as usize, 2, 0, 0, 0];
    let send = || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
        call!(SYS_sendmsg, fd, message.as_ptr(), 0)
    };
    let Some(seen) = check(
        "sendmsg",
        send,
        &[("res", Is::Number(7)), ("size", Is::Number(7)), ("data", Is::Bytes(b"hello"))],
    ) else {
        return;
    };
    assert_eq!(seen.bytes(4)[7..], [127, 0, 0, 1, 0x34, 0x12]);
}
