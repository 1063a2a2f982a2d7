//! Calls that make two descriptors.

use saker_events::{fd_facts::FdFacts, table::EventRow};

use crate::{
    calls::{Is, check},
    harness::{FAR, child, probe, watch},
};

#[test]
fn a_pair_of_sockets_tells_where_the_kernel_has_them() {
    let Some(mut probe) = probe(&["socketpair", "dup3"]) else { return };
    let mut fds = [0_i32; 2];
    let seen = watch(&mut probe, || {
        child(|| {
            call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_DGRAM, 0, fds.as_mut_ptr());
            call!(SYS_dup3, fds[0], FAR, 0)
        })
    });
    let [made, used] = ["socketpair", "dup3"].map(|name| {
        let named = |code| EventRow::of(code).is_some_and(|row| row.name == name);
        seen.iter().find(|event| named(event.code)).unwrap_or_else(|| panic!("no {name}: {seen:?}"))
    });
    let (at, _) = EventRow::of(used.code).and_then(|row| row.param("fdfacts")).expect("facts");
    let facts = FdFacts::parse(used.bytes(at)).expect("facts");
    let ends = format!("{:x}->{:x} ", made.number(3), made.number(4));
    assert_eq!(String::from_utf8_lossy(&facts.name), ends);
    assert!(made.number(1) >= 3 && made.number(2) > made.number(1), "{made:?}");
}

#[test]
fn a_call_that_fails_makes_none() {
    let mut fds = [1_i32, 2];
    let none = [("fd1", Is::Number(-1)), ("fd2", Is::Number(-1))];
    let sockets = [("source", Is::Number(0)), ("peer", Is::Number(0)), ("domain", Is::Number(2))];
    let at = fds.as_mut_ptr() as usize;
    check(
        "socketpair",
        move || call!(SYS_socketpair, libc::AF_INET, libc::SOCK_DGRAM, 0, at),
        &[&none[..], &sockets].concat(),
    );
    check("pipe2", move || call!(SYS_pipe2, at, 12345), &[&none[..], &[("ino", Is::Number(0))]].concat());
}
