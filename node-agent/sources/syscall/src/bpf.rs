//! Commands of bpf(2) on maps that the loader has no functions for.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

const MAP_FREEZE: i32 = 22;

/// From now on nobody can change the map but by way of a program.
#[expect(unsafe_code, reason = "the command takes an address")]
pub(crate) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    // The part of the kernel's `union bpf_attr` that the command reads.
    let fd = map.as_raw_fd();
    // SAFETY: the attributes are as long as said.
    let done = unsafe { libc::syscall(libc::SYS_bpf, MAP_FREEZE, &raw const fd, size_of_val(&fd)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
