//! Makes a child that acts, and collects what the probe reports of it.

use std::{
    collections::HashSet,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use saker_events::{Event, Origin};
use saker_source_syscall::{Item, Probe, Settings, SyscallSet};

/// A system call by its own number, not by libc's wrapper, which may use another one.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the tests pass what the call takes, in memory that lives longer.
        i32::try_from(unsafe { libc::syscall(libc::$number $(, $argument)*) }).unwrap_or(-1)
    };
}

pub(crate) const CLONE: u16 = 223;
pub(crate) const EXECVE: u16 = 293;
pub(crate) const PROCEXIT: u16 = 186;
/// A descriptor that nobody has, however many tests run at a time.
pub(crate) const FAR: i32 = 1000;
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_millis(50);

/// An event with its parameters copied.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) num: u64,
    pub(crate) ts: u64,
    pub(crate) tid: i64,
    pub(crate) code: u16,
    pub(crate) origin: Option<Origin>,
    params: Vec<Option<Vec<u8>>>,
}

impl From<&Event<'_>> for Seen {
    fn from(event: &Event<'_>) -> Self {
        let params = (0..event.param_count()).map(|at| event.param(at).map(<[u8]>::to_vec)).collect();
        Self { num: event.num, ts: event.ts, tid: event.tid, code: event.code, origin: event.origin, params }
    }
}

impl Seen {
    pub(crate) fn param_count(&self) -> usize {
        self.params.len()
    }

    /// The bytes of a parameter, empty if it is.
    pub(crate) fn bytes(&self, at: usize) -> &[u8] {
        self.params[at].as_deref().unwrap_or_default()
    }

    /// A text without its NUL; lists keep the inner ones.
    pub(crate) fn text(&self, at: usize) -> String {
        let bytes = self.bytes(at);
        String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
    }

    /// A number of any size.
    pub(crate) fn number(&self, at: usize) -> i64 {
        match *self.bytes(at) {
            [a] => i64::from(a),
            [a, b] => i64::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(u32::from_le_bytes([a, b, c, d])),
            ref bytes => i64::from_le_bytes(bytes.try_into().expect("a number of eight bytes")),
        }
    }
}

/// A probe that reports the named calls, or `None` where none can run.
pub(crate) fn probe(calls: &[&str]) -> Option<Probe> {
    load(&Settings { syscalls: syscalls(calls), ..Settings::default() })
}

pub(crate) fn syscalls(calls: &[&str]) -> SyscallSet {
    SyscallSet::from_names(calls.iter().copied()).expect("calls that are captured")
}

pub(crate) fn load(settings: &Settings) -> Option<Probe> {
    if call!(SYS_geteuid) != 0 || !Path::new("/sys/kernel/btf/vmlinux").exists() {
        eprintln!("skipped: needs root and BTF");
        return None;
    }
    Some(Probe::load(settings).expect("root on a kernel with BTF can run the probe"))
}

/// The same with those hooks in place that are attached only after the start.
pub(crate) fn ready(calls: &[&str]) -> Option<Probe> {
    let mut probe = probe(calls)?;
    finish_loading(&mut probe);
    Some(probe)
}

pub(crate) fn finish_loading(probe: &mut Probe) {
    let mut rounds = 0;
    while rounds == 0 || probe.is_loading() {
        assert!(rounds < 40, "the hooks that can wait are not in place after a minute");
        rounds += 1;
        let (stop, started) = (AtomicBool::new(false), Instant::now());
        let over = || started.elapsed() > Duration::from_millis(1500);
        probe.run(&stop, &mut |_| stop.store(over(), Ordering::Relaxed));
    }
}

/// Runs `act`, which returns the pid of a child that has ended. Returns the child's events, up to its exit.
pub(crate) fn watch(probe: &mut Probe, act: impl FnOnce() -> i32 + Send) -> Vec<Seen> {
    let (mut seen, pid) = watch_all(probe, act);
    seen.retain(|event| event.origin.is_some_and(|origin| i64::from(origin.tgid) == pid));
    seen
}

/// The same with the events of all processes, and the child's pid.
pub(crate) fn watch_all(probe: &mut Probe, act: impl FnOnce() -> i32 + Send) -> (Vec<Seen>, i64) {
    let (stop, pid, seen) = (AtomicBool::new(false), AtomicI64::new(0), Mutex::new(Vec::new()));
    let (started, mut ended) = (Instant::now(), HashSet::new());
    thread::scope(|scope| {
        scope.spawn(|| pid.store(i64::from(act()), Ordering::Relaxed));
        probe.run(&stop, &mut |item| {
            match item {
                Item::Event(event) => {
                    seen.lock().expect("no other thread").push(Seen::from(event));
                    ended.extend((event.code == PROCEXIT).then_some(event.tid));
                }
                // The child may have ended before its pid is known here.
                Item::Idle(sleep) => sleep.set(LOOK),
                _ => {}
            }
            if started.elapsed() > PATIENCE || ended.contains(&pid.load(Ordering::Relaxed)) {
                stop.store(true, Ordering::Relaxed);
            }
        });
    });
    let pid = pid.into_inner();
    assert!(ended.contains(&pid), "no exit of {pid} within {PATIENCE:?}");
    (seen.into_inner().expect("no panic"), pid)
}

/// Watches a child and returns its only event of this code.
pub(crate) fn only(calls: &[&str], code: u16, act: impl FnOnce() -> i32 + Send) -> Option<Seen> {
    let mut probe = probe(calls)?;
    let mut seen = watch(&mut probe, act);
    seen.retain(|event| event.code == code);
    assert_eq!(seen.len(), 1, "one event of code {code}: {seen:?}");
    seen.pop()
}

/// Forks; the child runs `act` and ends with its result. Returns the child's pid when it has ended.
pub(crate) fn child(act: impl FnOnce() -> i32) -> i32 {
    child_status(act, &AtomicU8::new(0))
}

/// The same, with the code that it ended with.
pub(crate) fn child_status(act: impl FnOnce() -> i32, code: &AtomicU8) -> i32 {
    let (pid, mut status) = (fork(), 0_i32);
    if pid == 0 {
        let code = act();
        // Without running what belongs to the parent.
        call!(SYS_exit_group, code);
    }
    assert_eq!(call!(SYS_wait4, pid, &raw mut status, 0, 0), pid);
    code.store(libc::WEXITSTATUS(status).to_le_bytes()[0], Ordering::SeqCst);
    pid
}

/// Copies a program by another process: a child that a test forks meanwhile would have the copy open for writing, and the
/// kernel runs no such file.
pub(crate) fn copy_program(program: &str, to: &Path) {
    assert!(
        Command::new("cp").arg(program).arg(to).status().is_ok_and(|status| status.success()),
        "{program}"
    );
}

pub(crate) fn fork() -> i32 {
    // SAFETY: the child acts and ends; what the tests do there needs no lock that another thread may hold.
    unsafe { libc::fork() }
}

/// A page that 32-bit calls can point to, beginning with these bytes.
#[cfg(target_arch = "x86_64")]
pub(crate) fn low_page(bytes: &[u8]) -> u32 {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    assert!(bytes.len() <= 4096);
    // SAFETY: a new mapping.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: the page is larger than the bytes and nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), page.cast(), bytes.len()) };
    u32::try_from(page as usize).expect("below 4 GiB")
}

/// A system call by its i386 number, as any 64-bit program can make it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn i386(number: u64, a: u32, b: u32) -> i32 {
    let result: u64;
    // SAFETY: rbx, which the compiler keeps for itself, is restored; the tests pass what the call takes.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {a}", "int 0x80", "xchg rbx, {a}",
            a = inout(reg) u64::from(a) => _, inlateout("rax") number => result, in("rcx") u64::from(b), in("rdx") 0,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    u32::try_from(result & 0xffff_ffff).unwrap_or(0).cast_signed()
}
