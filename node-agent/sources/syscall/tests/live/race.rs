//! Another thread changes the memory of a call's arguments while the call runs. What is told is what the kernel did,
//! every time. `SAKER_RACE` is the number of calls of each kind.

use std::{
    env, fs,
    path::Path,
    ptr,
    sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
    thread,
};

use saker_events::table::EventRow;

use crate::harness::{Seen, child, ready, watch};

/// A byte in the memory of an argument, which another thread keeps changing from `a` to `b` and back.
struct Raced {
    bytes: Vec<u8>,
    at: usize,
}

impl Raced {
    fn path(folder: &Path) -> Self {
        let mut bytes = folder.join("a").into_os_string().into_encoded_bytes();
        let at = bytes.len() - 1;
        bytes.push(0);
        Self { bytes, at }
    }

    fn address(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn byte(&self) -> &AtomicU8 {
        // SAFETY: a byte of ours that is only changed by way of this; the kernel may read either value.
        unsafe { AtomicU8::from_ptr(self.bytes.as_ptr().add(self.at).cast_mut()) }
    }
}

fn times() -> usize {
    env::var("SAKER_RACE").ok().and_then(|times| times.parse().ok()).unwrap_or(500)
}

/// Memory that a child shares.
fn shared(bytes: usize) -> &'static [AtomicU8] {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping.
    let page = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: it is as large, begins with zeros, and is never unmapped.
    unsafe { std::slice::from_raw_parts(page.cast(), bytes) }
}

/// A child makes the raced call again and again; `act` returns what the kernel took. What the events tell, as `told` reads
/// it, must be the same.
#[track_caller]
fn check(event: &str, raced: &Raced, act: impl Fn(&Raced) -> u8 + Sync, told: impl Fn(&Seen) -> u8) {
    let Some(mut probe) = ready(&[event]) else { return };
    let truth = shared(times());
    let in_child = || {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    raced.byte().fetch_xor(b'a' ^ b'b', SeqCst);
                }
            });
            for took in truth {
                took.store(act(raced), SeqCst);
            }
            done.store(true, SeqCst);
        });
        0
    };
    let seen = watch(&mut probe, || child(in_child));
    let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == event);
    let told: Vec<u8> = seen.iter().filter(named).map(told).filter(|name| b"ab".contains(name)).collect();
    let truth: Vec<u8> = truth.iter().map(|took| took.load(SeqCst)).collect();
    assert_eq!(told.len(), truth.len(), "an event for each {event}");
    let wrong = told.iter().zip(&truth).filter(|(told, truth)| told != truth).count();
    assert_eq!(wrong, 0, "of {} calls of {event}", truth.len());
}

fn last(bytes: &[u8]) -> u8 {
    bytes.strip_suffix(b"\0").and_then(|bytes| bytes.last()).copied().unwrap_or(0)
}

/// Two files, which hold their own names.
fn files() -> (tempfile::TempDir, Raced) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().canonicalize().expect("its path");
    for name in ["a", "b"] {
        fs::write(path.join(name), name).expect("a file");
    }
    (folder, Raced::path(&path))
}

/// The first byte of the file behind the descriptor, which is closed.
fn content(fd: i32) -> u8 {
    let mut byte = 0_u8;
    assert_eq!(call!(SYS_read, fd, &raw mut byte, 1), 1);
    call!(SYS_close, fd);
    byte
}

#[test]
fn an_open_is_told_as_the_file_that_it_opened() {
    let (_keep, raced) = files();
    let open = |raced: &Raced| content(call!(SYS_openat, libc::AT_FDCWD, raced.address(), 0));
    check("openat", &raced, open, |seen| last(seen.bytes(7)));
    let how = [0_u64; 3];
    let open = |raced: &Raced| content(call!(SYS_openat2, libc::AT_FDCWD, raced.address(), how.as_ptr(), 24));
    check("openat2", &raced, open, |seen| last(seen.bytes(8)));
}

/// Which of both files is missing; it is made again.
fn missing(folder: &Path) -> u8 {
    let gone = |name: &&str| fs::symlink_metadata(folder.join(name)).is_err();
    let name = ["a", "b"].into_iter().find(gone).expect("one is gone");
    fs::write(folder.join(name), name).expect("a file");
    name.as_bytes()[0]
}

#[test]
fn an_unlink_and_a_rename_are_told_with_the_names_that_the_kernel_took() {
    let (keep, raced) = files();
    let folder = keep.path();
    let unlink = |raced: &Raced| {
        assert_eq!(call!(SYS_unlinkat, libc::AT_FDCWD, raced.address(), 0), 0);
        missing(folder)
    };
    check("unlinkat", &raced, unlink, |seen| last(seen.bytes(2)));
    let to = std::ffi::CString::new(folder.join("c").to_str().expect("UTF-8")).expect("no NUL");
    let rename = |raced: &Raced| {
        let cwd = libc::AT_FDCWD;
        assert_eq!(call!(SYS_renameat2, cwd, raced.address(), cwd, to.as_ptr(), 0), 0);
        missing(folder)
    };
    check("renameat2", &raced, rename, |seen| last(seen.bytes(2)));
}

#[test]
fn a_connection_is_told_with_the_address_that_it_has() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port().to_be_bytes();
    thread::spawn(move || listener.incoming().for_each(drop));
    let bytes = [&[2, 0][..], &port, &[127, 0, 0, b'a', 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let raced = Raced { bytes, at: 7 };
    let connect = |raced: &Raced| {
        let (mut peer, mut len) = ([0_u8; 16], 16_u32);
        let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
        assert_eq!(call!(SYS_connect, fd, raced.address(), 16), 0);
        assert_eq!(call!(SYS_getpeername, fd, peer.as_mut_ptr(), &raw mut len), 0);
        call!(SYS_close, fd);
        peer[7]
    };
    check("connect", &raced, connect, |seen| seen.bytes(1)[10]);
}

/// The child runs the program itself, so each has a child of its own: the events of those are looked at.
#[test]
fn an_exec_is_told_with_the_program_that_runs() {
    let Some(mut probe) = ready(&[]) else { return };
    let folder = tempfile::tempdir().expect("a directory");
    for (name, program) in [("a", "/bin/true"), ("b", "/bin/false")] {
        fs::copy(program, folder.path().join(name)).expect("a copy");
    }
    let raced = Raced::path(&folder.path().canonicalize().expect("its path"));
    for _ in 0..times().min(100) {
        let status = shared(1);
        let in_child = || {
            // A process of its own flips: an exec ends all threads.
            let page = shared(raced.bytes.len());
            page.iter().zip(&raced.bytes).for_each(|(to, from)| to.store(*from, SeqCst));
            let (runs, flips) = (page.as_ptr(), &page[raced.at]);
            let flipper = crate::harness::fork();
            if flipper == 0 {
                for _ in 0..1_000_000 {
                    flips.fetch_xor(b'a' ^ b'b', SeqCst);
                }
                call!(SYS_exit_group, 0);
            }
            call!(SYS_execve, runs, [raced.address(), ptr::null()].as_ptr(), ptr::null::<u8>())
        };
        let seen = watch(&mut probe, || crate::harness::child_status(in_child, &status[0]));
        let exec = seen.iter().find(|seen| seen.code == crate::harness::EXECVE).expect("an exec");
        let ran = if status[0].load(SeqCst) == 0 { b'a' } else { b'b' };
        // trusted_exepath
        assert_eq!(last(exec.bytes(27)), ran);
    }
}
