//! What the cases do: a program of ours that acts under any name.

use std::{
    ffi::CString,
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::process::CommandExt as _},
    process::{Command, ExitCode},
    ptr, thread,
    time::Duration,
};

use crate::ring::{Request, Ring, SQPOLL};

unsafe extern "C" {
    static environ: *const *const std::ffi::c_char;
}

/// Does what the arguments say; any other arguments are those of a program that does nothing.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", program, rest @ ..] => run_and_wait(Command::new(program).args(rest)),
        ["late", program, rest @ ..] => {
            thread::sleep(Duration::from_millis(5200));
            run_here(program, rest);
        }
        ["in-terminal", program, rest @ ..] => in_terminal(program, rest),
        ["as", user, program, rest @ ..] => {
            drop(Command::new(program).args(rest).uid(user.parse().unwrap_or(65534)).exec());
        }
        other => run_here(other.first().copied().unwrap_or_default(), other.get(1..).unwrap_or_default()),
    }
    ExitCode::SUCCESS
}

/// One action in this process. Failures are no matter: the case looks at the alert.
fn run_here(action: &str, rest: &[&str]) {
    match (action, rest) {
        ("read", [file]) => drop(fs::read(file)),
        ("write", [file]) => drop(fs::OpenOptions::new().write(true).create(true).truncate(false).open(file)),
        ("truncate", [file]) => drop(fs::OpenOptions::new().write(true).truncate(true).open(file)),
        ("symlink", [target, link]) => drop(std::os::unix::fs::symlink(target, link)),
        ("link", [target, link]) => drop(fs::hard_link(target, link)),
        ("connect", [address]) => connect(address, None),
        ("connect-and-dup", [address, fd]) => connect(address, fd.parse().ok()),
        ("run-from-memory", [program]) => run_from_memory(program, false),
        ("run-from-memory-at", [program]) => run_from_memory(program, true),
        ("uring", [mode, action, rest @ ..]) => uring(*mode == "sqpoll", action, rest),
        #[cfg(target_arch = "x86_64")]
        ("open-i386", [file]) => open_i386(file),
        (call @ ("open" | "openat" | "openat2"), [file]) => open(call, libc::AT_FDCWD, file),
        ("at", [directory, call, name]) => with_directory(directory, |fd| open(call, fd, name)),
        ("after-fchdir", [directory, call, name]) => with_directory(directory, |fd| {
            // SAFETY: a descriptor of ours.
            unsafe { libc::fchdir(fd) };
            open(call, libc::AT_FDCWD, name);
        }),
        ("after-chroot", [directory, call, name]) => {
            drop(std::os::unix::fs::chroot(directory));
            open(call, libc::AT_FDCWD, name);
        }
        ("in-thread", [call, name]) => {
            thread::scope(|scope| drop(scope.spawn(|| open(call, libc::AT_FDCWD, name)).join()));
        }
        (name, _) => system_call(name),
    }
}

/// Opens for reading with this very call.
fn open(call: &str, directory: i32, name: &str) {
    let Ok(name) = CString::new(name) else { return };
    let how = [0_u64; 3];
    // SAFETY: the name and the 24 bytes of `how` live longer than the call.
    unsafe {
        match call {
            // arm64 has no such call.
            #[cfg(target_arch = "x86_64")]
            "open" => libc::syscall(libc::SYS_open, name.as_ptr(), 0),
            "openat2" => libc::syscall(libc::SYS_openat2, directory, name.as_ptr(), how.as_ptr(), 24),
            _ => libc::syscall(libc::SYS_openat, directory, name.as_ptr(), 0),
        }
    };
}

fn with_directory(path: &str, act: impl FnOnce(i32)) {
    if let Ok(directory) = fs::File::open(path) {
        act(directory.as_raw_fd());
    }
}

/// Calls that only need their number; they may fail.
fn system_call(name: &str) {
    // SAFETY: no call gets memory of ours.
    unsafe {
        match name {
            "packet-socket" => libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300),
            "datagram-socket" => libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0),
            "load-module" => i32::from(libc::syscall(libc::SYS_finit_module, -1, c"".as_ptr(), 0) == 0),
            "unload-module" => i32::from(libc::syscall(libc::SYS_delete_module, c"no_such".as_ptr(), 0) == 0),
            "attach" => i32::from(libc::ptrace(libc::PTRACE_ATTACH, 1 << 22, 0, 0) == 0),
            "seize" => i32::from(libc::ptrace(libc::PTRACE_SEIZE, 1 << 22, 0, 0) == 0),
            "poke-text" => i32::from(libc::ptrace(libc::PTRACE_POKETEXT, 1 << 22, 0, 0) == 0),
            "poke-data" => i32::from(libc::ptrace(libc::PTRACE_POKEDATA, 1 << 22, 0, 0) == 0),
            "set-registers" => i32::from(libc::ptrace(libc::PTRACE_SETREGS, 1 << 22, 0, 0) == 0),
            "detach" => i32::from(libc::ptrace(libc::PTRACE_DETACH, 1 << 22, 0, 0) == 0),
            "trace-me" => i32::from(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0),
            _ => 0,
        }
    };
}

fn run_and_wait(command: &mut Command) {
    drop(command.status());
}

/// Listens on the address and connects to it, so that no other machine is needed.
fn connect(address: &str, duplicate: Option<i32>) {
    let Ok(_listener) = TcpListener::bind(address) else { return };
    let Ok(stream) = TcpStream::connect(address) else { return };
    if let Some(fd) = duplicate {
        // SAFETY: both are descriptors of this process, which ends now.
        unsafe { libc::dup2(stream.as_raw_fd(), fd) };
    }
}

/// The same by a request of io_uring.
fn uring(sqpoll: bool, action: &str, rest: &[&str]) {
    let Ok(texts) = rest.iter().map(|text| CString::new(*text)).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let address = |at: usize| texts.get(at).map_or(0, |text| text.as_ptr() as u64);
    let plain = Request { fd: libc::AT_FDCWD, addr: address(0), ..Request::default() };
    let open = |flags: i32| Request { opcode: 18, op_flags: flags.cast_unsigned(), len: 0o600, ..plain };
    let ring = Ring::new(if sqpoll { SQPOLL } else { 0 });
    match action {
        "open" => drop(ring.run(open(libc::O_RDONLY))),
        "open-slot" => {
            ring.register_slots();
            ring.run(Request { file_index: 1, ..open(libc::O_RDONLY) });
        }
        "write" => drop(ring.run(open(libc::O_WRONLY | libc::O_CREAT))),
        "truncate" => drop(ring.run(open(libc::O_WRONLY | libc::O_TRUNC))),
        "symlink" => drop(ring.run(Request { opcode: 38, off: address(1), ..plain })),
        "link" => {
            let len = libc::AT_FDCWD.cast_unsigned();
            ring.run(Request { opcode: 39, off: address(1), len, ..plain });
        }
        "connect" => connect_by(&ring, rest.first().copied().unwrap_or_default()),
        _ => {}
    }
}

fn connect_by(ring: &Ring, address: &str) {
    let Ok(_listener) = TcpListener::bind(address) else { return };
    let Ok(std::net::SocketAddr::V4(address)) = address.parse() else { return };
    let to = [&[2, 0][..], &address.port().to_be_bytes(), &address.ip().octets(), &[0; 8]].concat();
    let fd = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    ring.run(Request { opcode: 16, fd, addr: to.as_ptr() as u64, off: 16, ..Request::default() });
}

/// The call of 32-bit programs, which 64-bit ones can make too.
#[cfg(target_arch = "x86_64")]
fn open_i386(file: &str) {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    // SAFETY: a new mapping, larger than the name, whose address fits the call; rbx is restored.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), 4096, access, kind, -1, 0).cast::<u8>();
        ptr::copy_nonoverlapping(file.as_ptr(), page, file.len().min(4095));
        std::arch::asm!(
            "xchg rbx, {a}", "int 0x80", "xchg rbx, {a}",
            a = inout(reg) page as u64 => _, inlateout("rax") 5_u64 => _, in("rcx") 0, in("rdx") 0,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}

/// Runs a copy in memory, by its name in /proc or by its descriptor alone.
fn run_from_memory(program: &str, by_descriptor: bool) {
    // SAFETY: a name that lives on.
    let fd = unsafe { libc::memfd_create(c"case".as_ptr(), 0) };
    let path = format!("/proc/self/fd/{fd}");
    let copied =
        fs::read(program).and_then(|bytes| fs::OpenOptions::new().write(true).open(&path)?.write_all(&bytes));
    let argv = [c"case".as_ptr(), ptr::null()];
    if copied.is_ok() && by_descriptor {
        // SAFETY: ends with a null; the environment is that of this process.
        unsafe {
            libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), argv.as_ptr(), environ, libc::AT_EMPTY_PATH)
        };
    } else if copied.is_ok() {
        drop(Command::new(path).exec());
    }
}

/// Runs a program as the first of a session with a terminal.
fn in_terminal(program: &str, rest: &[&str]) {
    let (mut control, mut terminal) = (0, 0);
    // SAFETY: two places for descriptors; no settings are given.
    unsafe { libc::openpty(&raw mut control, &raw mut terminal, ptr::null_mut(), ptr::null(), ptr::null()) };
    let mut command = Command::new(program);
    command.args(rest);
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::ioctl(terminal, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    run_and_wait(&mut command);
}
