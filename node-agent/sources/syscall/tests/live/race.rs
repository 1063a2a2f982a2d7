//! Another thread changes the memory of a call's arguments while the call runs. What is told is what the kernel did,
//! every time. `SAKER_RACE` is the number of calls of each kind that are judged.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    ptr,
    sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
    thread,
    time::Instant,
};

use saker_events::table::EventRow;
use saker_source_syscall::Probe;

use crate::harness::{EXECVE, Seen, child, child_status, copy_program, fork, ready, watch, watch_all};

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

/// Calls made at a time: their records fit into the rings.
const BATCH: usize = 2000;
/// Batches of which records were lost, as somebody else filled the ring: they are made again.
const LOST_BATCHES: usize = 20;

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

/// Makes batches of raced calls until as many as wanted are judged. `batch` makes those for which there is room, notes
/// what the kernel took, and returns what was told; both must be the same.
#[track_caller]
fn judge(call: &str, probe: &mut Probe, batch: impl Fn(&mut Probe, &[AtomicU8]) -> Vec<u8>) {
    let (all, started) = (shared(BATCH.min(times())), Instant::now());
    let (mut judged, mut firsts, mut wrong, mut lost_batches) = (0, 0, 0, 0);
    while judged < times() {
        let truth = &all[..all.len().min(times() - judged)];
        for took in truth {
            took.store(0, SeqCst);
        }
        let before = lost(probe);
        let told = batch(probe, truth);
        let lost = lost(probe) - before;
        if lost > 0 {
            lost_batches += 1;
            assert!(lost_batches < LOST_BATCHES, "{call}: records are lost all the time, now {lost}");
            continue;
        }
        let truth: Vec<u8> = truth.iter().map(|took| took.load(SeqCst)).collect();
        assert!(truth.iter().all(|took| b"ab".contains(took)), "{call}: the child made every call");
        assert_eq!(told.len(), truth.len(), "an event for each {call}");
        judged += truth.len();
        firsts += truth.iter().map(|took| usize::from(*took == b'a')).sum::<usize>();
        wrong += told.iter().zip(&truth).filter(|(told, truth)| told != truth).count();
    }
    eprintln!(
        "{call}: {wrong} of {judged} told wrongly, {firsts} took the first, {lost_batches} batches lost, {:?}",
        started.elapsed()
    );
    assert_eq!(wrong, 0, "of {judged} calls of {call}");
}

/// Records that the rings had no room for.
fn lost(probe: &Probe) -> u64 {
    probe.counters().expect("counters").total(|row| row.ring_full)
}

/// A child makes the raced call again and again; `act` returns what the kernel took. What the events tell, as `told` reads
/// it, must be the same.
#[track_caller]
fn check(event: &str, raced: &Raced, act: impl Fn(&Raced) -> u8 + Sync, told: impl Fn(&Seen) -> u8) {
    let Some(mut probe) = ready(&[event]) else { return };
    let named = |seen: &&Seen| EventRow::of(seen.code).is_some_and(|row| row.name == event);
    judge(event, &mut probe, |probe, truth| {
        let seen = watch(probe, || child(|| make_raced(raced, &act, truth)));
        seen.iter().filter(named).map(&told).filter(|name| b"ab".contains(name)).collect()
    });
}

/// The child's part: a call for each place in `truth`. Returns how it ends.
fn make_raced(raced: &Raced, act: &(impl Fn(&Raced) -> u8 + Sync), truth: &[AtomicU8]) -> i32 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                raced.byte().fetch_xor(b'a' ^ b'b', SeqCst);
            }
        });
        let calls = || truth.iter().for_each(|took| took.store(act(raced), SeqCst));
        // The other thread ends whatever becomes of the calls.
        let made = panic::catch_unwind(AssertUnwindSafe(calls));
        done.store(true, SeqCst);
        i32::from(made.is_err())
    })
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
    #[cfg(target_arch = "x86_64")]
    {
        let open = |raced: &Raced| content(call!(SYS_open, raced.address(), 0));
        check("open", &raced, open, |seen| last(seen.bytes(6)));
    }
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
    #[cfg(target_arch = "x86_64")]
    {
        let unlink = |raced: &Raced| {
            assert_eq!(call!(SYS_unlink, raced.address()), 0);
            missing(folder)
        };
        check("unlink", &raced, unlink, |seen| last(seen.bytes(1)));
    }
    let unlink = |raced: &Raced| {
        assert_eq!(call!(SYS_unlinkat, libc::AT_FDCWD, raced.address(), 0), 0);
        missing(folder)
    };
    check("unlinkat", &raced, unlink, |seen| last(seen.bytes(2)));
    let to = std::ffi::CString::new(folder.join("c").to_str().expect("UTF-8")).expect("no NUL");
    #[cfg(target_arch = "x86_64")]
    {
        let rename = |raced: &Raced| {
            assert_eq!(call!(SYS_rename, raced.address(), to.as_ptr()), 0);
            missing(folder)
        };
        check("rename", &raced, rename, |seen| last(seen.bytes(1)));
    }
    let rename = |raced: &Raced| {
        let cwd = libc::AT_FDCWD;
        assert_eq!(call!(SYS_renameat2, cwd, raced.address(), cwd, to.as_ptr(), 0), 0);
        missing(folder)
    };
    check("renameat2", &raced, rename, |seen| last(seen.bytes(2)));
}

/// The same file by a path that is as long as a path can be, or a byte less: the kernel keeps it in another way.
fn long(short: &Raced) -> Raced {
    let mut bytes = short.bytes.clone();
    let name = bytes.split_off(short.at);
    while bytes.len() + name.len() < 4095 {
        bytes.extend(b"./");
    }
    let at = bytes.len();
    bytes.extend(name);
    Raced { bytes, at }
}

#[test]
fn the_longest_paths_are_told_as_the_kernel_took_them() {
    let (keep, raced) = files();
    let (folder, raced) = (keep.path(), long(&raced));
    let unlink = |raced: &Raced| {
        assert_eq!(call!(SYS_unlinkat, libc::AT_FDCWD, raced.address(), 0), 0);
        missing(folder)
    };
    check("unlinkat", &raced, unlink, |seen| last(seen.bytes(2)));
    let mut to = raced.bytes.clone();
    to[raced.at] = b'c';
    let rename = |raced: &Raced| {
        let cwd = libc::AT_FDCWD;
        assert_eq!(call!(SYS_renameat2, cwd, raced.address(), cwd, to.as_ptr(), 0), 0);
        missing(folder)
    };
    check("renameat2", &raced, rename, |seen| last(seen.bytes(2)));
    check(
        "renameat2",
        &raced,
        rename,
        |seen| if last(seen.bytes(4)) == b'c' { last(seen.bytes(2)) } else { 0 },
    );
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
        // Closed at once, without keeping the port for a minute: there are not as many ports as calls.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        assert_eq!(call!(SYS_setsockopt, fd, libc::SOL_SOCKET, libc::SO_LINGER, &raw const linger, 8), 0);
        assert_eq!(call!(SYS_connect, fd, raced.address(), 16), 0);
        assert_eq!(call!(SYS_getpeername, fd, peer.as_mut_ptr(), &raw mut len), 0);
        call!(SYS_close, fd);
        peer[7]
    };
    check("connect", &raced, connect, |seen| seen.bytes(1)[10]);
}

/// The folder has two programs, which end with their own names.
fn programs() -> (tempfile::TempDir, Raced) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().canonicalize().expect("its path");
    for (name, program) in [("a", "/bin/true"), ("b", "/bin/false")] {
        copy_program(program, &path.join(name));
    }
    (folder, Raced::path(&path))
}

/// Children of the child run the raced program, one after the other. A process of its own flips: an exec ends all threads.
fn run_raced(raced: &Raced, truth: &[AtomicU8]) -> i32 {
    let page = shared(raced.bytes.len());
    page.iter().zip(&raced.bytes).for_each(|(to, from)| to.store(*from, SeqCst));
    let (path, flips) = (page.as_ptr(), &page[raced.at]);
    let flipper = fork();
    if flipper == 0 {
        call!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        loop {
            flips.fetch_xor(b'a' ^ b'b', SeqCst);
        }
    }
    for took in truth {
        let status = AtomicU8::new(0);
        let run = || call!(SYS_execve, path, [raced.address(), ptr::null()].as_ptr(), ptr::null::<u8>());
        child_status(run, &status);
        took.store(if status.load(SeqCst) == 0 { b'a' } else { b'b' }, SeqCst);
    }
    let mut status = 0_i32;
    call!(SYS_kill, flipper, libc::SIGKILL);
    call!(SYS_wait4, flipper, &raw mut status, 0, 0);
    0
}

#[test]
fn an_exec_is_told_with_the_program_that_runs() {
    let Some(mut probe) = ready(&[]) else { return };
    let (folder, raced) = programs();
    let folder = folder.path().canonicalize().expect("its path").into_os_string().into_encoded_bytes();
    judge("execve", &mut probe, |probe, truth| {
        let (seen, _) = watch_all(probe, || child(|| run_raced(&raced, truth)));
        let execs = seen.iter().filter(|seen| seen.code == EXECVE);
        // trusted_exepath
        execs.map(|seen| seen.bytes(27)).filter(|path| path.starts_with(&folder)).map(last).collect()
    });
}
