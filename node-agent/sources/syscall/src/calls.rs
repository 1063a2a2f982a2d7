//! The system calls whose events the probe makes by a table: where each parameter comes from.
//!
//! What is not here has a program of its own in the probe (processes, the open family, `connect`) or is reported as a
//! generic event. Directories of relative paths and facts about descriptors follow from the event table.

use self::QuotaPart::{BlockGrace, Command, File, Format, FormatTold, GraceFlags, Id, InodeGrace, Kind};
use Make::{
    Accepted, Address, Arg, Bytes, Capabilities, Constant, Control, Device, Dynamic, Empty, In, Inode,
    InodeOfResult, Int, Kib, Made, Memory, Message, MessagePeer, MessageRead, MessageSize, Name, OpenFlags,
    Option, OptionGot, OptionSet, Out, PathOfResult, Peer, Polled, Queue, Quota, QuotaLimit, Result, Sock,
    SockPeer, SocketOption, Time, Vector, VectorRead, VectorSize,
};

/// How a parameter is made. Registers count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// It is empty: the probe cannot know it.
    Empty,
    /// What the call returned.
    Result,
    /// A register: a number, or the address of a text.
    Arg(u8),
    /// A number of so many bytes where a register points, behind so many.
    Memory(u8, u16, u16),
    /// The low half of a register, with its sign.
    Int(u8),
    /// A descriptor that the call made, where a register points, behind so many bytes; none if the call failed.
    Made(u8, u16),
    /// Always the same.
    Constant(u16),
    /// The machine's number of the call.
    Number,
    /// Of a `Dyn` parameter: which type, and the register.
    Dynamic(u16, u8),
    /// Data where a register points; its length is in another, or is what the call returned.
    Bytes(u8, u16),
    /// The first part of an iovec.
    Vector(u8),
    /// The same, as far as the call filled it.
    VectorRead(u8),
    /// Size of an iovec with so many parts as another register says.
    VectorSize(u8, u16),
    /// The first part of a message's data.
    Message(u8),
    /// The same, as far as the call filled it.
    MessageRead(u8),
    /// What came with a message, from the kernel or of descriptors.
    Control(u8),
    /// A text where a register of `prctl` points, if the option is about a name.
    Name(u8),
    /// A register of `prctl` that is no address of a name.
    Option(u8),
    /// Seconds and nanoseconds where a register points.
    Time(u8),
    /// Size of a message's data.
    MessageSize(u8),
    /// No parameter: the address in a message, for the tuple.
    MessagePeer(u8),
    /// A socket address; its size is in another register.
    Address(u8, u16),
    /// No parameter: a socket address, for the tuple.
    Peer(u8, u16),
    /// Both ends of a socket, the process's own first.
    Out(u8),
    /// Both ends of a socket, the process's own last.
    In(u8),
    /// Both ends of the socket that was returned, the process's own last.
    Accepted,
    /// Of the listening socket in register 0: how full its queue is in percent, how long, how long at most.
    Queue(u16),
    /// Inode of the descriptor that the call made, which stands where a register points.
    Inode(u8),
    /// Where the kernel has that descriptor's socket.
    Sock(u8),
    /// Where it has the socket at the other end.
    SockPeer(u8),
    /// The option of a socket.
    SocketOption,
    /// The value of an option, whose size is in a register.
    OptionSet(u8),
    /// The same, with the size where a register points.
    OptionGot(u8),
    /// The descriptors that `poll` waits for, and what happened to each.
    Polled,
    /// What these stand for.
    PolledFacts,
    /// What `quotactl` is asked or says.
    Quota(QuotaPart),
    /// A limit of `quotactl`, by its place in the kernel's structure.
    QuotaLimit(u16),
    /// Device of the file that was opened.
    Device,
    /// Inode of the file that was opened.
    InodeOfResult,
    /// Path of the file that was opened.
    PathOfResult,
    /// Flags as `open` takes them.
    OpenFlags(u8),
    /// Of the process, after the call: inheritable, permitted, effective.
    Capabilities(u16),
    /// Memory of the process, in KiB: all of it, resident, swapped out.
    Kib(u16),
    /// What the descriptor in a register stands for.
    Facts(u8),
    /// What the descriptor that was returned stands for.
    FactsOfResult,
    /// What the descriptor stood for that the call closed.
    Closed,
    /// Path of the directory in a register, if the name in another is relative.
    Directory(u8, u8),
    /// The working directory, if the name in a register is relative.
    WorkingDirectory(u8),
}

/// Parameters of `quotactl`: the probe's `enum quota`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaPart {
    Command,
    Kind,
    Id,
    Format,
    FormatTold,
    File,
    BlockGrace,
    InodeGrace,
    GraceFlags,
}

/// In place of a register: the length is what the call returned, or nobody says it.
const RETURNED: u16 = 6;

/// Event, parameters in their order; what is no parameter stands before the tuple it is for.
pub(crate) static CALLS: &[(&str, &[Make])] = &[
    ("close", &[Result, Arg(0)]),
    ("read", &[Result, Bytes(1, RETURNED), Arg(0), Arg(2)]),
    ("write", &[Result, Bytes(1, 2), Arg(0), Arg(2)]),
    ("socket", &[Result, Arg(0), Arg(1), Arg(2), Arg(1)]),
    ("bind", &[Result, Address(1, 2), Arg(0)]),
    ("listen", &[Result, Arg(0), Arg(1)]),
    ("send", &[Result, Bytes(1, 2), Arg(0), Arg(2), Out(0)]),
    ("sendto", &[Result, Bytes(1, 2), Arg(0), Arg(2), Peer(4, 5), Out(0)]),
    ("recv", &[Result, Bytes(1, RETURNED), Arg(0), Arg(2), In(0)]),
    ("recvfrom", &[Result, Bytes(1, RETURNED), Peer(4, RETURNED), In(0), Arg(0), Arg(2)]),
    ("shutdown", &[Result, Arg(0), Arg(1)]),
    ("getsockname", &[]),
    ("getpeername", &[]),
    ("socketpair", &[Result, Made(3, 0), Made(3, 4), Sock(3), SockPeer(3), Arg(0), Arg(1), Arg(2)]),
    ("setsockopt", &[Result, Arg(0), Arg(1), SocketOption, OptionSet(4), Arg(4)]),
    ("getsockopt", &[Result, Arg(0), Arg(1), SocketOption, OptionGot(4), Memory(4, 0, 4)]),
    ("sendmsg", &[Result, Message(1), Arg(0), MessageSize(1), MessagePeer(1), Out(0)]),
    ("sendmmsg", &[Result, Arg(0), MessageSize(1), Message(1), MessagePeer(1), Out(0)]),
    ("recvmsg", &[Result, MessageSize(1), MessageRead(1), MessagePeer(1), In(0), Control(1), Arg(0)]),
    ("recvmmsg", &[Result, Arg(0), MessageSize(1), Message(1), MessagePeer(1), In(0), Control(1)]),
    ("accept", &[Result, Accepted, Queue(0), Queue(1), Queue(2)]),
    ("accept4", &[Result, Accepted, Queue(0), Queue(1), Queue(2), Arg(3)]),
    ("pipe", &[Result, Made(0, 0), Made(0, 4), Inode(0)]),
    ("pipe2", &[Result, Made(0, 0), Made(0, 4), Inode(0), Arg(1)]),
    ("eventfd", &[Result, Arg(0), Constant(0)]),
    ("eventfd2", &[Result, Arg(1), Arg(0)]),
    ("signalfd", &[Result, Arg(0), Memory(1, 0, 4), Constant(0)]),
    ("signalfd4", &[Result, Arg(3), Arg(0), Memory(1, 0, 4)]),
    ("timerfd_create", &[Result, Arg(0), Arg(1)]),
    ("inotify_init", &[Result, Constant(0)]),
    ("inotify_init1", &[Result, Arg(0)]),
    ("epoll_create", &[Result, Arg(0)]),
    ("epoll_create1", &[Result, Arg(0)]),
    ("epoll_wait", &[Result, Arg(2)]),
    ("poll", &[Result, Polled, Int(2)]),
    ("ppoll", &[Result, Polled, Time(2), Memory(3, 0, 4)]),
    ("select", &[Result]),
    ("futex", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("stat", &[Result, Arg(0)]),
    ("lstat", &[Result, Arg(0)]),
    ("fstat", &[Result, Arg(0)]),
    ("stat64", &[Result, Arg(0)]),
    ("lstat64", &[Result, Arg(0)]),
    ("fstat64", &[Result]),
    ("newfstatat", &[Result, Arg(0), Arg(1), Arg(3)]),
    ("access", &[Result, Arg(0), Arg(1)]),
    ("lseek", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("llseek", &[Result, Arg(0), Arg(2), Arg(4)]),
    ("getcwd", &[Result, Arg(0)]),
    ("chdir", &[Result, Arg(0)]),
    ("fchdir", &[Result, Arg(0)]),
    ("pread", &[Result, Bytes(1, RETURNED), Arg(0), Arg(2), Arg(3)]),
    ("pwrite", &[Result, Bytes(1, 2), Arg(0), Arg(2), Arg(3)]),
    ("readv", &[Result, VectorSize(1, 2), VectorRead(1), Arg(0)]),
    ("writev", &[Result, Vector(1), Arg(0), VectorSize(1, 2)]),
    ("preadv", &[Result, VectorSize(1, 2), VectorRead(1), Arg(0), Arg(3)]),
    ("pwritev", &[Result, Vector(1), Arg(0), VectorSize(1, 2), Arg(3)]),
    ("getdents", &[Result, Arg(0)]),
    ("getdents64", &[Result, Arg(0)]),
    ("ioctl", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("fcntl", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("flock", &[Result, Arg(0), Arg(1)]),
    ("dup", &[Result, Arg(0)]),
    ("dup2", &[Result, Arg(0), Arg(1)]),
    ("dup3", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("close_range", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("kill", &[Result, Arg(0), Arg(1)]),
    ("tkill", &[Result, Arg(0), Arg(1)]),
    ("tgkill", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("nanosleep", &[Result, Time(0)]),
    ("getrlimit", &[Result, Memory(1, 0, 8), Memory(1, 8, 8), Arg(0)]),
    ("setrlimit", &[Result, Memory(1, 0, 8), Memory(1, 8, 8), Arg(0)]),
    (
        "prlimit",
        &[Result, Memory(2, 0, 8), Memory(2, 8, 8), Memory(3, 0, 8), Memory(3, 8, 8), Arg(0), Arg(1)],
    ),
    ("brk", &[Result, Kib(0), Kib(1), Kib(2), Arg(0)]),
    ("mmap", &[Result, Kib(0), Kib(1), Kib(2), Arg(0), Arg(1), Arg(2), Arg(3), Arg(4), Arg(5)]),
    ("mmap2", &[Result, Kib(0), Kib(1), Kib(2), Arg(0), Arg(1), Arg(2), Arg(3), Arg(4), Arg(5)]),
    ("munmap", &[Result, Kib(0), Kib(1), Kib(2), Arg(0), Arg(1)]),
    ("mprotect", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("mlock", &[Result, Arg(0), Arg(1)]),
    ("mlock2", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("munlock", &[Result, Arg(0), Arg(1)]),
    ("mlockall", &[Result, Arg(0)]),
    ("munlockall", &[Result]),
    ("splice", &[Result, Arg(0), Arg(2), Arg(4), Arg(5)]),
    ("sendfile", &[Result, Memory(2, 0, 8), Arg(0), Arg(1), Arg(3)]),
    ("copy_file_range", &[Result, Arg(2), Memory(3, 0, 8), Arg(0), Memory(1, 0, 8), Arg(4)]),
    ("ptrace", &[Result, Dynamic(0, 2), Dynamic(0, 3), Arg(0), Arg(1)]),
    ("process_vm_readv", &[Result, Arg(0), VectorRead(1)]),
    ("process_vm_writev", &[Result, Arg(0), Vector(1)]),
    ("rename", &[Result, Arg(0), Arg(1)]),
    ("renameat", &[Result, Arg(0), Arg(1), Arg(2), Arg(3)]),
    ("renameat2", &[Result, Arg(0), Arg(1), Arg(2), Arg(3), Arg(4)]),
    ("link", &[Result, Arg(0), Arg(1)]),
    ("linkat", &[Result, Arg(0), Arg(1), Arg(2), Arg(3), Arg(4)]),
    ("symlink", &[Result, Arg(0), Arg(1)]),
    ("symlinkat", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("unlink", &[Result, Arg(0)]),
    ("unlinkat", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("mkdir", &[Result, Arg(0), Arg(1)]),
    ("mkdirat", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("rmdir", &[Result, Arg(0)]),
    ("mknod", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("mknodat", &[Result, Arg(0), Arg(1), Arg(2), Arg(3)]),
    ("chmod", &[Result, Arg(0), Arg(1)]),
    ("fchmod", &[Result, Arg(0), Arg(1)]),
    ("fchmodat", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("chown", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("lchown", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("fchown", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("fchownat", &[Result, Arg(0), Arg(1), Arg(2), Arg(3), Arg(4)]),
    ("mount", &[Result, Arg(0), Arg(1), Arg(2), Arg(3)]),
    ("umount", &[Result, Arg(0)]),
    ("umount2", &[Result, Arg(0), Arg(1)]),
    ("fsconfig", &[Result, Arg(0), Arg(1), Arg(2), Empty, Arg(3), Arg(4)]),
    (
        "quotactl",
        &[
            Result,
            Arg(1),
            Quota(File),
            QuotaLimit(0),
            QuotaLimit(1),
            QuotaLimit(2),
            QuotaLimit(3),
            QuotaLimit(4),
            QuotaLimit(6),
            QuotaLimit(7),
            Quota(BlockGrace),
            Quota(InodeGrace),
            Quota(GraceFlags),
            Quota(FormatTold),
            Quota(Command),
            Quota(Kind),
            Quota(Id),
            Quota(Format),
        ],
    ),
    ("chroot", &[Result, Arg(0)]),
    ("setns", &[Result, Arg(0), Arg(1)]),
    ("unshare", &[Result, Arg(0)]),
    ("setuid", &[Result, Arg(0)]),
    ("setgid", &[Result, Arg(0)]),
    ("setreuid", &[Result, Arg(0), Arg(1)]),
    ("setregid", &[Result, Arg(0), Arg(1)]),
    ("setresuid", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("setresgid", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("getuid", &[Result]),
    ("geteuid", &[Result]),
    ("getgid", &[Result]),
    ("getegid", &[Result]),
    ("getresuid", &[Result, Memory(0, 0, 4), Memory(1, 0, 4), Memory(2, 0, 4)]),
    ("getresgid", &[Result, Memory(0, 0, 4), Memory(1, 0, 4), Memory(2, 0, 4)]),
    ("setsid", &[Result]),
    ("setpgid", &[Result, Arg(0), Arg(1)]),
    ("capset", &[Result, Capabilities(0), Capabilities(1), Capabilities(2)]),
    ("prctl", &[Result, Arg(0), Name(1), Option(1)]),
    ("seccomp", &[Result, Arg(0), Arg(1)]),
    ("keyctl", &[Result, Arg(0), Dynamic(0, 1), Dynamic(0, 2), Dynamic(0, 3), Dynamic(0, 4)]),
    ("bpf", &[Result, Arg(0)]),
    ("userfaultfd", &[Result, Arg(0)]),
    ("memfd_create", &[Result, Arg(0), Arg(1)]),
    ("pidfd_open", &[Result, Arg(0), Arg(1)]),
    ("pidfd_getfd", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("open_by_handle_at", &[Result, Arg(0), OpenFlags(2), PathOfResult, Device, InodeOfResult]),
    ("init_module", &[Result, Bytes(0, 1), Arg(1), Arg(2)]),
    ("finit_module", &[Result, Arg(0), Arg(1), Arg(2)]),
    ("delete_module", &[Result, Arg(0), Arg(1)]),
    (
        "io_uring_setup",
        &[
            Result,
            Arg(0),
            Memory(1, 0, 4),
            Memory(1, 4, 4),
            Memory(1, 8, 4),
            Memory(1, 12, 4),
            Memory(1, 16, 4),
            Memory(1, 20, 4),
        ],
    ),
    ("io_uring_enter", &[Result, Arg(0), Arg(1), Arg(2), Arg(3), Memory(4, 0, 4)]),
    ("io_uring_register", &[Result, Arg(0), Arg(1), Arg(2), Arg(3)]),
    (
        "semop",
        &[
            Result,
            Arg(2),
            Memory(1, 0, 2),
            Memory(1, 2, 2),
            Memory(1, 4, 2),
            Memory(1, 6, 2),
            Memory(1, 8, 2),
            Memory(1, 10, 2),
            Arg(0),
        ],
    ),
    ("semctl", &[Result, Arg(0), Arg(1), Arg(2), Arg(3)]),
    ("semget", &[Result, Arg(0), Arg(1), Arg(2)]),
];
