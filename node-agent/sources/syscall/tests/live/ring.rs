//! A ring of io_uring with room for one request, made of system calls alone.

use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The kernel's own thread takes requests: nobody calls `io_uring_enter` for them.
pub(crate) const SQPOLL: u32 = 2;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;
const NEED_WAKEUP: u32 = 1;

/// `struct io_uring_params`: where the parts of the rings are stands behind ten numbers.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread_cpu: u32,
    thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    /// head, tail, ring mask, ring entries, flags, dropped, array
    sq: [u32; 10],
    /// head, tail, ring mask, ring entries, overflow, cqes
    cq: [u32; 10],
}

/// `struct io_uring_sqe`, as far as the tests fill it.
#[repr(C)]
#[derive(Default, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    pub(crate) ioprio: u16,
    pub(crate) fd: i32,
    pub(crate) off: u64,
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) op_flags: u32,
    pub(crate) user_data: u64,
    pub(crate) buf: u16,
    pub(crate) personality: u16,
    pub(crate) file_index: u32,
    pub(crate) rest: [u64; 2],
}

pub(crate) struct Ring {
    fd: i32,
    rings: *mut u8,
    requests: *mut Request,
    sq: [u32; 10],
    cq: [u32; 10],
    sqpoll: bool,
}

fn map<T>(fd: i32, bytes: usize, offset: i64) -> *mut T {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, offset) };
    assert_ne!(mapped, libc::MAP_FAILED, "the ring is mapped");
    mapped.cast()
}

impl Ring {
    pub(crate) fn new(flags: u32) -> Self {
        let mut params = Params { flags, thread_idle: 2000, ..Params::default() };
        let fd = call!(SYS_io_uring_setup, 4, &raw mut params);
        assert!(fd >= 0, "this kernel has io_uring");
        let (rings, requests) = (map(fd, 4096, 0), map(fd, 4096, 0x1000_0000));
        Self { fd, rings, requests, sq: params.sq, cq: params.cq, sqpoll: flags & SQPOLL != 0 }
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel says that a number of the ring is there, and the mapping is never undone.
        unsafe { AtomicU32::from_ptr(self.rings.add(offset as usize).cast()) }
    }

    /// Makes two places for files that have no descriptor.
    #[allow(dead_code, reason = "not every test that shares this file opens into them")]
    pub(crate) fn register_slots(&self) {
        const REGISTER_FILES: u32 = 2;
        call!(SYS_io_uring_register, self.fd, REGISTER_FILES, [-1_i32, -1].as_ptr(), 2);
    }

    /// Gives the kernel a request.
    pub(crate) fn submit(&self, request: Request) {
        let tail = self.word(self.sq[1]).load(Ordering::Relaxed);
        let slot = tail & 3;
        // SAFETY: one of four places in a mapping of ours, and the kernel does not read it yet.
        unsafe { self.requests.add(slot as usize).write(request) };
        self.word(self.sq[6] + 4 * slot).store(slot, Ordering::Relaxed);
        self.word(self.sq[1]).store(tail.wrapping_add(1), Ordering::SeqCst);
        if !self.sqpoll {
            call!(SYS_io_uring_enter, self.fd, 1, 0, 0, 0, 0);
        } else if self.word(self.sq[4]).load(Ordering::SeqCst) & NEED_WAKEUP != 0 {
            call!(SYS_io_uring_enter, self.fd, 0, 0, ENTER_SQ_WAKEUP, 0, 0);
        }
    }

    /// Makes a request and waits for what comes of it.
    pub(crate) fn run(&self, request: Request) -> i32 {
        self.submit(request);
        let head = self.word(self.cq[0]).load(Ordering::Relaxed);
        let started = Instant::now();
        while self.word(self.cq[1]).load(Ordering::Acquire) == head {
            assert!(started.elapsed() < Duration::from_mins(1), "the request ends");
            if self.sqpoll {
                thread::yield_now();
            } else {
                call!(SYS_io_uring_enter, self.fd, 0, 1, ENTER_GETEVENTS, 0, 0);
            }
        }
        let result = self.word(self.cq[5] + 16 * (head & 3) + 8).load(Ordering::Relaxed);
        self.word(self.cq[0]).store(head.wrapping_add(1), Ordering::Release);
        result.cast_signed()
    }
}
