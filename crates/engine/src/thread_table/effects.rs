//! What each event does to the table: one line per kind of event (scap-format.md §6).

use saker_events::descriptor::FdType;
#[allow(clippy::wildcard_imports, reason = "the table below names most codes that there are")]
use saker_events::table::code::*;

use super::{ThreadTable, clone, containers, exec, exit, files, ids, sockets, users};
use crate::params::Params;

/// Whether an event tells of its own thread, or is not about it.
pub(super) fn introduces_itself(event_code: u16) -> bool {
    matches!(
        event_code,
        SYSCALL_CLONE_20_X
            | SYSCALL_FORK_20_X
            | SYSCALL_VFORK_20_X
            | SYSCALL_CLONE3_X
            | PROCEXIT_1_E
            | SCHEDSWITCH_1_E
            | SCHEDSWITCH_6_E
            | PROCINFO_E
    )
}

#[rustfmt::skip]
pub(super) fn apply(table: &mut ThreadTable, params: Params) {
    match params.event.code {
        SYSCALL_READ_X | SYSCALL_WRITE_X | SYSCALL_READV_X | SYSCALL_WRITEV_X | SYSCALL_PREAD_X | SYSCALL_PWRITE_X
        | SYSCALL_PREADV_X | SYSCALL_PWRITEV_X => sockets::used_io(table, params),
        SYSCALL_BRK_4_X | SYSCALL_MMAP_X | SYSCALL_MMAP2_X | SYSCALL_MUNMAP_X => ids::mapped(table, params),
        SYSCALL_OPEN_E | SYSCALL_CREAT_E | SYSCALL_OPENAT_2_E | SYSCALL_OPENAT2_E | SOCKET_CONNECT_E
        | SYSCALL_EXECVE_19_E | SYSCALL_EXECVEAT_E => files::begun(table, params),
        SYSCALL_OPEN_X | SYSCALL_CREAT_X | SYSCALL_OPENAT_2_X | SYSCALL_OPENAT2_X
        | SYSCALL_OPEN_BY_HANDLE_AT_X => files::opened(table, params),
        SYSCALL_CLOSE_X => files::closed(table, params),
        SYSCALL_CLOSE_RANGE_X => files::closed_range(table, params),
        SYSCALL_DUP_1_X | SYSCALL_DUP2_X | SYSCALL_DUP3_X => files::copied(table, params),
        SYSCALL_FCNTL_X => files::controlled(table, params),
        SYSCALL_PIPE_X | SYSCALL_PIPE2_X => files::piped(table, params),
        SYSCALL_EVENTFD_X | SYSCALL_EVENTFD2_X => files::made(table, params, FdType::Event),
        SYSCALL_SIGNALFD_X | SYSCALL_SIGNALFD4_X => files::made(table, params, FdType::Signalfd),
        SYSCALL_TIMERFD_CREATE_X => files::made(table, params, FdType::Timerfd),
        SYSCALL_INOTIFY_INIT_X | SYSCALL_INOTIFY_INIT1_X => files::made(table, params, FdType::Inotify),
        SYSCALL_BPF_2_X => files::made(table, params, FdType::Bpf),
        SYSCALL_USERFAULTFD_X => files::made(table, params, FdType::Userfaultfd),
        SYSCALL_IO_URING_SETUP_X => files::made(table, params, FdType::IoUring),
        SYSCALL_EPOLL_CREATE_X | SYSCALL_EPOLL_CREATE1_X => files::made(table, params, FdType::Eventpoll),
        SYSCALL_MEMFD_CREATE_X => files::made(table, params, FdType::Memfd),
        SYSCALL_PIDFD_OPEN_X => files::made(table, params, FdType::Pidfd),
        SYSCALL_PIDFD_GETFD_X => files::fetched(table, params),
        SOCKET_SOCKET_X => sockets::made(table, params),
        SOCKET_SOCKETPAIR_X => sockets::paired(table, params),
        SOCKET_BIND_X => sockets::bound(table, params),
        SOCKET_CONNECT_X => sockets::connected(table, params),
        SOCKET_ACCEPT_5_X | SOCKET_ACCEPT4_6_X => sockets::accepted(table, params),
        SOCKET_SEND_X | SOCKET_SENDTO_X | SOCKET_SENDMSG_X | SOCKET_SENDMMSG_X
        | SOCKET_RECV_X | SOCKET_RECVFROM_X | SOCKET_RECVMSG_X | SOCKET_RECVMMSG_X => sockets::moved(table, params),
        SYSCALL_CLONE_20_X | SYSCALL_FORK_20_X | SYSCALL_VFORK_20_X | SYSCALL_CLONE3_X => clone::cloned(table, params),
        SYSCALL_EXECVE_19_X | SYSCALL_EXECVEAT_X => exec::ran(table, params),
        PROCEXIT_1_E => exit::ended(table, params),
        SYSCALL_CHDIR_X | SYSCALL_GETCWD_X => ids::moved(table, params),
        SYSCALL_FCHDIR_X => ids::moved_to_fd(table, params),
        SYSCALL_SETSID_X => ids::set_session(table, params),
        SYSCALL_SETUID_X => ids::set_uid(table, params, 1),
        SYSCALL_SETREUID_X | SYSCALL_SETRESUID_X => ids::set_uid(table, params, 2),
        SYSCALL_SETGID_X => ids::set_gid(table, params, 1),
        SYSCALL_SETREGID_X | SYSCALL_SETRESGID_X => ids::set_gid(table, params, 2),
        SYSCALL_CAPSET_X => ids::set_capabilities(table, params),
        SYSCALL_UNSHARE_X | SYSCALL_SETNS_X => ids::entered(table, params),
        SYSCALL_SETRLIMIT_X | SYSCALL_GETRLIMIT_X | SYSCALL_PRLIMIT_X => ids::limited(table, params),
        SYSCALL_PRCTL_X => ids::controlled(table, params),
        SCHEDSWITCH_6_E => ids::switched(table, params),
        USER_ADDED_E => users::added(table, params),
        USER_DELETED_E => users::deleted(table, params),
        GROUP_ADDED_E => users::group_added(table, params),
        GROUP_DELETED_E => users::group_deleted(table, params),
        CONTAINER_JSON_E | CONTAINER_JSON_2_E | ASYNCEVENT_E => containers::told(table, params),
        _ => {}
    }
}
