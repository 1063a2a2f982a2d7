//! Commands of bpf(2) on maps that the loader has no functions for.
#![expect(unsafe_code, reason = "the commands take addresses")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_FREEZE: i32 = 22;

/// The part of the kernel's `union bpf_attr` that these commands read.
#[repr(C)]
#[derive(Default)]
struct OfMap {
    fd: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// From now on nobody can change the map but by way of a program.
pub(crate) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the command reads the descriptor alone.
    unsafe { command(MAP_FREEZE, map, &OfMap::default()) }
}

/// Reads an element of an array into `value`, which is as large as the elements are.
pub(crate) fn lookup<T>(map: BorrowedFd<'_>, key: u32, value: &mut T) -> io::Result<()> {
    let of = OfMap {
        key: (&raw const key).addr() as u64,
        value: (&raw mut *value).expose_provenance() as u64,
        ..OfMap::default()
    };
    // SAFETY: both addresses are of memory that outlives the call and has the sizes of the map.
    unsafe { command(MAP_LOOKUP_ELEM, map, &of) }
}

/// # Safety
/// The addresses must be good for the command.
unsafe fn command(command: i32, map: BorrowedFd<'_>, of: &OfMap) -> io::Result<()> {
    let of = OfMap { fd: u32::try_from(map.as_raw_fd()).unwrap_or(u32::MAX), ..*of };
    // SAFETY: the attributes are as long as said, the rest is the caller's promise.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const of, size_of::<OfMap>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
