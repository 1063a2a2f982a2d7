//! The options of sockets and their values, each in its own type.

use crate::calls::{Is, check};

const SOCKET: i64 = 1;
const TCP: i64 = 2;

/// Sets an option of a TCP socket of the child.
fn set(level: i32, option: i32, value: &[u8]) -> impl FnOnce() -> i32 + Send {
    move || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
        call!(SYS_setsockopt, fd, level, option, value.as_ptr(), value.len())
    }
}

/// Level, option, and the value as it stands in memory; level, option and value in the event.
#[track_caller]
fn check_set(given: (i32, i32, &[u8]), level: i64, option: i64, value: &[u8]) {
    let (at, name, bytes) = given;
    let size = i64::try_from(bytes.len()).expect("a size");
    check(
        "setsockopt",
        set(at, name, bytes),
        &[
            ("level", Is::Number(level)),
            ("optname", Is::Number(option)),
            ("val", Is::Bytes(value)),
            ("optlen", Is::Number(size)),
        ],
    );
}

#[test]
fn a_value_that_is_set_has_its_type() {
    let (socket, two) = (libc::SOL_SOCKET, 2_u32.to_le_bytes());
    check_set((socket, libc::SO_REUSEADDR, &two), SOCKET, 2, &[2, 2, 0, 0, 0]);
    let time = [2_i64.to_le_bytes(), 500_000_i64.to_le_bytes()].concat();
    let nanoseconds = [&[4][..], &2_500_000_000_u64.to_le_bytes()].concat();
    check_set((socket, libc::SO_RCVTIMEO, &time), SOCKET, 20, &nanoseconds);
    // Its newer number.
    check_set((socket, 67, &time), SOCKET, 21, &nanoseconds);
    check_set((socket, libc::SO_BINDTODEVICE, b"lo\0"), SOCKET, 25, b"\0lo\0");
    check_set((socket, libc::SO_LINGER, &[1, 0, 0, 0, 5, 0, 0, 0]), SOCKET, 13, &[0, 1, 0, 0, 0, 5, 0, 0, 0]);
    check_set((libc::IPPROTO_TCP, libc::TCP_NODELAY, &two), TCP, 0, &[0, 2, 0, 0, 0]);
    check_set((libc::IPPROTO_IP, libc::IP_TTL, &two), 0, 0, &[0, 2, 0, 0, 0]);
    check_set((socket, 9999, &two), SOCKET, 0, &[0, 2, 0, 0, 0]);
    check_set((socket, libc::SO_ATTACH_FILTER, &[7; 100]), SOCKET, 26, &[&[0][..], &[7; 80]].concat());
}

/// Asks for an option of a socket of the child; what is not given is not pointed to.
#[track_caller]
fn check_got(option: i32, given: bool, value: &[u8], size: i64) {
    let (mut memory, mut size_of_it) = ([0_u8; 16], 16_u32);
    let (to, length) = (memory.as_mut_ptr() as usize, (&raw mut size_of_it) as usize);
    let act = move || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
        call!(
            SYS_getsockopt,
            fd,
            libc::SOL_SOCKET,
            option,
            if given { to } else { 0 },
            if given { length } else { 0 }
        )
    };
    let is = [("val", Is::Bytes(value)), ("optlen", Is::Number(size)), ("level", Is::Number(SOCKET))];
    check("getsockopt", act, &is);
}

#[test]
fn a_value_that_is_told_has_its_type_and_size() {
    check_got(libc::SO_TYPE, true, &[2, 1, 0, 0, 0], 4);
    check_got(libc::SO_ERROR, true, &[1, 0, 0, 0, 0, 0, 0, 0, 0], 4);
    check_got(libc::SO_LINGER, true, &[0; 9], 8);
    check_got(libc::SO_TYPE, false, &[], 0);
}

/// The connection was refused.
#[test]
fn an_error_is_told_as_one() {
    let address: [u8; 16] = [2, 0, 0, 1, 127, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    let (mut error, mut size) = (0_i32, 4_u32);
    let (to, length) = ((&raw mut error) as usize, (&raw mut size) as usize);
    let act = move || {
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
        call!(SYS_connect, fd, address.as_ptr(), 16);
        // Until the refusal is there.
        let mut answer = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        call!(SYS_ppoll, &raw mut answer, 1, 0, 0, 8);
        call!(SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_ERROR, to, length)
    };
    let refused = [&[1][..], &(-i64::from(libc::ECONNREFUSED)).to_le_bytes()].concat();
    check("getsockopt", act, &[("res", Is::Number(0)), ("val", Is::Bytes(&refused))]);
}

/// `socketcall` has its arguments in memory, and times are half as large.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_caller_tells_the_same() {
    use crate::harness::{FAR, i386, low_page};
    const SETSOCKOPT: u32 = 14;
    let time = low_page(&[3_u32, 250_000].map(u32::to_le_bytes).concat());
    let arguments = low_page(&[FAR.cast_unsigned(), 1, 20, time, 8].map(u32::to_le_bytes).concat());
    let value = [&[4][..], &3_250_000_000_u64.to_le_bytes()].concat();
    check(
        "setsockopt",
        || i386(102, SETSOCKOPT, arguments),
        &[
            ("res", Is::Number(-i64::from(libc::EBADF))),
            ("fd", Is::Number(FAR.into())),
            ("optname", Is::Number(20)),
            ("val", Is::Bytes(&value)),
            ("optlen", Is::Number(8)),
        ],
    );
}
