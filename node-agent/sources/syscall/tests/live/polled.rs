//! The descriptors that `poll` and `ppoll` wait for.

use saker_events::{descriptor::FdType, fd_facts::FdFacts, table::EventRow};

use crate::{
    calls::{Is, check},
    harness::{FAR, Seen},
};

/// Descriptors that the tests make, and one that nobody has, however many tests run at a time.
const FILE: i32 = FAR;
const SOCKET: i32 = FAR + 1;
const NOBODYS: i32 = FAR + 2;
/// Flags as events number them.
const IN: u16 = 1;
const RDHUP: u16 = 8;
const NVAL: u16 = 0x40;

/// As `poll` takes it.
fn polled(fd: i32, wanted: i16) -> libc::pollfd {
    libc::pollfd { fd, events: wanted, revents: 0 }
}

/// As an event tells it.
fn told(list: &[(i32, u16)]) -> Vec<u8> {
    let count = u16::try_from(list.len()).expect("a few").to_le_bytes();
    let each = list
        .iter()
        .flat_map(|(fd, flags)| [&i64::from(*fd).to_le_bytes()[..], &flags.to_le_bytes()].concat());
    count.into_iter().chain(each).collect()
}

fn facts(seen: &Seen) -> Vec<Option<FdType>> {
    let (at, _) = EventRow::of(seen.code).and_then(|row| row.param("fdsfacts")).expect("facts");
    FdFacts::list(seen.bytes(at)).map(|facts| facts.map(|facts| facts.kind)).collect()
}

/// Not every machine has `poll`.
const POLL: &str = if cfg!(target_arch = "x86_64") { "poll" } else { "ppoll" };

/// Waits for four descriptors as long as it takes.
fn poll(list: usize) -> i32 {
    #[cfg(target_arch = "x86_64")]
    return call!(SYS_poll, list, 4, -1);
    #[cfg(not(target_arch = "x86_64"))]
    return call!(SYS_ppoll, list, 4, 0, 0, 8);
}

/// Kernel and events number what happened in their own ways.
#[test]
fn each_descriptor_has_what_happened_to_it() {
    let mut list = [
        polled(FILE, libc::POLLIN),
        polled(SOCKET, libc::POLLIN | libc::POLLRDHUP),
        polled(-1, 0),
        polled(NOBODYS, 1),
    ];
    let (at, mut fds) = (list.as_mut_ptr() as usize, [0_i32; 2]);
    let pair = fds.as_mut_ptr() as usize;
    let act = move || {
        call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair);
        // SAFETY: the call above has written both.
        let [one, other] = unsafe { *(pair as *const [i32; 2]) };
        call!(SYS_dup3, one, SOCKET, 0);
        let file = call!(SYS_openat, libc::AT_FDCWD, c"/etc/hostname".as_ptr(), 0);
        call!(SYS_dup3, file, FILE, 0);
        call!(SYS_shutdown, other, libc::SHUT_WR);
        poll(at)
    };
    let list = told(&[(FILE, IN), (SOCKET, IN | RDHUP), (-1, 0), (NOBODYS, NVAL)]);
    let expected = [("res", Is::Number(3)), ("fds", Is::Bytes(&list)), ("timeout", Is::Number(-1))];
    let Some(seen) = check(POLL, act, &expected) else { return };
    assert_eq!(facts(&seen), [Some(FdType::File), Some(FdType::Unix), None, None]);
}

#[test]
fn ppoll_tells_the_same_and_no_more_than_16() {
    let list = [polled(NOBODYS, libc::POLLOUT); 20];
    let at = list.as_ptr() as usize;
    let act = || call!(SYS_ppoll, at, 20, 0, 0, 8);
    let expected = told(&[(NOBODYS, NVAL); 16]);
    let expected = [("res", Is::Number(20)), ("fds", Is::Bytes(&expected)), ("timeout", Is::Number(-1))];
    let Some(seen) = check("ppoll", act, &expected) else { return };
    assert_eq!(facts(&seen), [None; 16]);
    check("ppoll", move || call!(SYS_ppoll, 0, 3, 0, 0, 8), &[("fds", Is::Bytes(&[0, 0]))]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_caller_tells_the_same() {
    use crate::harness::{i386, low_page};
    let list = low_page(&[&NOBODYS.to_le_bytes()[..], &[1, 0, 0, 0]].concat());
    check("poll", move || i386(168, list, 1), &[("fds", Is::Bytes(&told(&[(NOBODYS, NVAL)])))]);
}
