//! The memory of an array of the probe, read in place: to copy a large one takes longer than to look at it.
#![expect(unsafe_code, reason = "memory is mapped")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::AtomicU64,
};

/// An array's elements as words.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the memory is no thread's own.
unsafe impl Send for Mapped {}

impl Mapped {
    /// So many words from the start of an array that has the flag for it.
    pub(crate) fn new(map: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let bytes = words.saturating_mul(size_of::<AtomicU64>());
        // SAFETY: a new mapping, of memory that lasts as long as it is mapped.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, map.as_raw_fd(), 0)
        };
        let start = Some(start).filter(|start| *start != libc::MAP_FAILED).and_then(NonNull::new);
        Ok(Self { start: start.ok_or_else(io::Error::last_os_error)?.cast(), words })
    }

    /// All of them. Others may change them at any time.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped until `self` is dropped, and a page's start is aligned. Whoever changes it changes whole words.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let bytes = size_of_val(self.words());
        // SAFETY: nobody has a reference any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}
