//! What was there when a capture began: threads, their descriptors, users, addresses (scap-format.md §2).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use saker_capture::{FdKind, Interface, ListedFd, ListedProcess, Machine, UserList};
use saker_events::{
    descriptor::{Descriptor, End, FdType, Protocol, Socket},
    fd::ip_type,
    param::{Tuple, as_ipv4, ip_text},
    process::{Capabilities, Image, Memory, Process},
    users::User,
};

use super::{Thread, ThreadTable, fds::KeptFd, files::O_CLOEXEC, key};

/// Bit of a listed thread's flags: it lives in a pid namespace of its own.
const IN_PIDNS: u32 = 1 << 29;

impl ThreadTable {
    /// The machine that was recorded.
    pub fn set_machine(&mut self, machine: &Machine) {
        self.boot_time = machine.boot_ts;
    }

    /// The machine's addresses.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) {
        self.interfaces = interfaces.iter().map(|i| (i.address, i.netmask)).collect();
    }

    /// Users and groups of the host.
    pub fn set_users(&mut self, list: UserList) {
        self.note_change();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        for user in list.users {
            let (name, home, shell) = (text(user.name), text(user.home), text(user.shell));
            self.users.add_user(user.uid, User { name, home, shell });
        }
        for group in list.groups {
            self.users.add_group(group.gid, text(group.name));
        }
    }

    /// The threads that ran. Who started whom counts when all of them are known.
    pub fn set_processes(&mut self, list: Vec<ListedProcess>) {
        let parents: Vec<(i64, i64)> = list.iter().map(|p| (p.tid, p.ptid)).collect();
        for mut listed in list.into_iter().filter(|listed| listed.tid >= 0) {
            let (tid, cgroups) = (listed.tid, std::mem::take(&mut listed.cgroups));
            self.charge(listed.args.len().saturating_add(listed.env.len()).saturating_add(cgroups.len()));
            self.insert(Thread::new(process(listed)));
            self.match_container(tid, &cgroups);
        }
        for (tid, ptid) in parents {
            if let Some(process) = self.process_mut(tid) {
                process.ptid = ptid;
            }
        }
        let tids: Vec<i64> = self.threads.ids().collect();
        for tid in tids {
            self.join(tid);
        }
    }

    /// What a thread had open.
    pub fn set_fds(&mut self, tid: i64, list: Vec<ListedFd>) {
        for listed in list {
            if let FdKind::Server { address, .. } = &listed.kind {
                self.listed.servers.insert(address.port());
            }
            let close_on_exec = matches!(listed.kind, FdKind::File { open_flags, .. } if u64::from(open_flags) & O_CLOEXEC != 0);
            let file = Arc::new(descriptor(listed.kind, listed.ino));
            self.charge(file.name.len());
            if file.kind == FdType::Ipv4 {
                self.listed.sockets.push((tid, listed.fd));
            }
            self.put_fd(tid, listed.fd, KeptFd { file, close_on_exec });
        }
    }

    /// Which end of a listed socket is ours shows when all ports are known on which somebody waits.
    pub(super) fn settle_lists(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        for (tid, number) in listed.sockets {
            let Some(fd) = self.fd_mut(tid, number) else { continue };
            let file = Arc::make_mut(&mut fd.file);
            let Some(socket) = file.socket.as_deref_mut().filter(|s| !s.listening) else { continue };
            if listed.servers.contains(&socket.source.port()) {
                std::mem::swap(&mut socket.source, &mut socket.destination);
                file.end = Some(End::Server);
                file.name = Tuple::Ip(socket.source, socket.destination).into_text().into();
            } else {
                file.end = Some(End::Client);
            }
        }
    }
}

fn process(listed: ListedProcess) -> Process {
    let mut process = Process {
        key: key(listed.tid, 0),
        tid: listed.tid,
        pid: listed.pid,
        // Parents are linked later.
        ptid: 0,
        comm: listed.comm.into(),
        uid: listed.uid,
        gid: listed.gid,
        loginuid: listed.loginuid,
        tty: listed.tty,
        sid: listed.sid,
        pgid: listed.pgid,
        vpgid: listed.vpgid,
        vpid: listed.vpid,
        vtid: listed.vtid,
        in_pidns: listed.flags & IN_PIDNS != 0,
        pidns_start: listed.pidns_init_start_ts,
        fdlimit: listed.fdlimit.cast_signed(),
        ..Process::default()
    };
    process.memory = Memory {
        size: listed.vmsize_kb.into(),
        rss: listed.vmrss_kb.into(),
        swap: listed.vmswap_kb.into(),
        faults_major: listed.pfmajor,
        faults_minor: listed.pfminor,
    };
    process.caps = Capabilities {
        inheritable: listed.cap_inheritable,
        permitted: listed.cap_permitted,
        effective: listed.cap_effective,
    };
    if process.is_main() {
        process.cwd = with_slash(listed.cwd).into();
    }
    let flags = [listed.exe_writable, listed.exe_upper_layer, listed.exe_from_memfd, listed.exe_lower_layer];
    process.image = Arc::new(Image {
        exe: listed.exe.into(),
        exepath: listed.exepath.into(),
        args: listed.args.into(),
        env: if process.is_main() { listed.env.into() } else { Box::default() },
        flags: flags.iter().rev().fold(0, |bits, set| bits << 1 | u64::from(*set)),
        ino: listed.exe_ino,
        ctime: listed.exe_ino_ctime,
        mtime: listed.exe_ino_mtime,
        ..Image::default()
    });
    process
}

fn with_slash(mut cwd: Vec<u8>) -> Vec<u8> {
    if !cwd.is_empty() && !cwd.ends_with(b"/") {
        cwd.push(b'/');
    }
    cwd
}

fn descriptor(kind: FdKind, ino: u64) -> Descriptor {
    let file = match kind {
        FdKind::Unknown => Descriptor::default(),
        FdKind::Connection { source, destination, l4 } => connection(source, destination, l4),
        FdKind::Server { address, l4 } => server(address, l4),
        FdKind::Unix { path, .. } => Descriptor {
            end: Some(if path.is_empty() { End::Client } else { End::Server }),
            name: path.into(),
            ..Descriptor::new(FdType::Unix)
        },
        FdKind::File { open_flags, path, dev } => {
            Descriptor { name: path.into(), flags: open_flags.into(), dev, ..Descriptor::new(FdType::File) }
        }
        FdKind::Named { kind, name } => Descriptor { name: name.into(), ..Descriptor::new(kind) },
    };
    Descriptor { ino, ..file }
}

/// A socket with two ends: which of them is ours is found out later, but over IPv6 never.
fn connection(source: SocketAddr, destination: SocketAddr, l4: u8) -> Descriptor {
    let [source, destination] = as_ipv4([source, destination]);
    Descriptor {
        name: Tuple::Ip(source, destination).into_text().into(),
        socket: Some(Box::new(Socket { source, destination, listening: false })),
        protocol: protocol(l4),
        connected: protocol(l4) == Protocol::Tcp,
        ..Descriptor::new(ip_type(destination))
    }
}

fn server(address: SocketAddr, l4: u8) -> Descriptor {
    let nowhere = match address.ip() {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    };
    let source = SocketAddr::new(nowhere, 0);
    Descriptor {
        name: ip_text(address).into_bytes().into(),
        socket: Some(Box::new(Socket { source, destination: address, listening: true })),
        protocol: protocol(l4),
        end: Some(End::Server),
        ..Descriptor::new(ip_type(address))
    }
}

/// By its number in lists.
fn protocol(l4: u8) -> Protocol {
    match l4 {
        2 => Protocol::Tcp,
        3 => Protocol::Udp,
        4 => Protocol::Icmp,
        5 => Protocol::Raw,
        _ => Protocol::Unknown,
    }
}
