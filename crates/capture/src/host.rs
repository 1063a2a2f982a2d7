//! What is there when a recording begins, as this machine tells it: the lists of a capture.

pub(crate) mod fds;
pub(crate) mod processes;
mod sockets;

use std::{fs, net::IpAddr, path::Path};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};

use crate::{Group, Interface, Machine, User, UserList};

/// A file's bytes; none if it cannot be read.
fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// The number behind `key` in a file of `key value` lines.
fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

pub(crate) fn machine() -> Machine {
    let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Machine {
        cpus,
        memory: number(&text("/proc/meminfo"), "MemTotal:").saturating_mul(1024),
        max_pid: text("/proc/sys/kernel/pid_max").trim().parse().unwrap_or(0),
        hostname: bytes("/proc/sys/kernel/hostname").trim_ascii().to_vec(),
        boot_ts: number(&text("/proc/stat"), "btime ").saturating_mul(1_000_000_000),
        flags: 0,
    }
}

pub(crate) fn interfaces() -> Vec<Interface> {
    getifaddrs().map(|all| all.filter_map(|found| interface(&found)).collect()).unwrap_or_default()
}

fn interface(found: &InterfaceAddress) -> Option<Interface> {
    let ip = |address: Option<nix::sys::socket::SockaddrStorage>| -> Option<IpAddr> {
        let address = address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    let address = ip(found.address)?;
    let unknown = if address.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    Some(Interface {
        address,
        netmask: ip(found.netmask).unwrap_or(unknown),
        broadcast: ip(found.broadcast).unwrap_or(unknown),
        linkspeed: 0,
        name: found.interface_name.clone().into_bytes(),
    })
}

pub(crate) fn users() -> UserList {
    let (passwd, group) = (bytes("/etc/passwd"), bytes("/etc/group"));
    UserList {
        users: lines(&passwd).filter_map(user).collect(),
        groups: lines(&group).filter_map(group_of).collect(),
    }
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
}

fn id(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok()
}

fn user(line: &[u8]) -> Option<User> {
    let mut fields = line.split(|byte| *byte == b':');
    let (name, _password, uid, gid) =
        (fields.next()?, fields.next()?, id(fields.next()?)?, id(fields.next()?)?);
    let (_comment, home, shell) = (fields.next()?, fields.next()?, fields.next()?);
    Some(User { uid, gid, name: name.to_vec(), home: home.to_vec(), shell: shell.to_vec() })
}

fn group_of(line: &[u8]) -> Option<Group> {
    let mut fields = line.split(|byte| *byte == b':');
    let (name, _password, gid) = (fields.next()?, fields.next()?, id(fields.next()?)?);
    Some(Group { gid, name: name.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_knows_itself() {
        let machine = machine();
        assert!(machine.cpus > 0 && machine.memory > 1 << 24 && machine.max_pid > 1000);
        assert!(machine.boot_ts > 1_600_000_000_000_000_000 && !machine.hostname.is_empty());
        let loopback: IpAddr = [127, 0, 0, 1].into();
        let lo = interfaces().into_iter().find(|i| i.address == loopback).unwrap();
        assert_eq!((lo.netmask, lo.name.as_slice()), (IpAddr::from([255, 0, 0, 0]), &b"lo"[..]));
        assert!(users().users.iter().any(|u| u.uid == 0 && u.name == b"root"));
        assert!(users().groups.iter().any(|g| g.gid == 0 && g.name == b"root"));
    }

    #[test]
    fn lines_that_are_no_users_are_passed_over() {
        assert_eq!(
            user(b"www:x:33:34:w w w:/var/www:/bin/sh").map(|u| (u.uid, u.gid, u.home)),
            Some((33, 34, b"/var/www".to_vec()))
        );
        for line in [&b""[..], b"+", b"#www:x:33", b"www:x:many:33:::"] {
            assert_eq!(user(line), None);
        }
    }
}
