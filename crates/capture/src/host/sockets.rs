//! Sockets of each network namespace by inode, from `/proc/PID/net`.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use rustc_hash::FxHashMap;
use saker_events::descriptor::FdType;

use super::text;
use crate::FdKind;

/// Files of IP sockets and their protocols' numbers in a capture.
const IP_FILES: [(&str, u8); 6] = [("tcp", 2), ("tcp6", 2), ("udp", 3), ("udp6", 3), ("raw", 5), ("raw6", 5)];
/// Namespaces looked at; sockets of further ones keep their number alone.
const MAX_NAMESPACES: usize = 4096;

/// What is known so far, by namespace.
#[derive(Default)]
pub(super) struct Sockets {
    by_namespace: FxHashMap<Vec<u8>, FxHashMap<u64, FdKind>>,
}

impl Sockets {
    /// What a socket of a process is; `name` if it is of no listed kind.
    pub(super) fn kind(&mut self, pid: i64, ino: u64, name: Vec<u8>) -> FdKind {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
        let namespace = namespace.into_os_string().into_encoded_bytes();
        if !self.by_namespace.contains_key(&namespace) && self.by_namespace.len() < MAX_NAMESPACES {
            self.by_namespace.insert(namespace.clone(), read(pid));
        }
        let known = self.by_namespace.get(&namespace).and_then(|sockets| sockets.get(&ino));
        known.cloned().unwrap_or(FdKind::Named { kind: FdType::Unknown, name })
    }
}

fn read(pid: i64) -> FxHashMap<u64, FdKind> {
    let net = |file: &str| text(format!("/proc/{pid}/net/{file}"));
    let mut sockets = FxHashMap::default();
    for (file, l4) in IP_FILES {
        sockets.extend(net(file).lines().skip(1).filter_map(|line| ip(line, l4)));
    }
    sockets.extend(net("unix").lines().skip(1).filter_map(unix));
    sockets.extend(net("netlink").lines().skip(1).filter_map(netlink));
    sockets
}

/// `0: 0100007F:1F90 00000000:0000 0A …`, the inode in the tenth column. Without a peer it is a server.
fn ip(line: &str, l4: u8) -> Option<(u64, FdKind)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (source, destination) = (end(columns.get(1)?)?, end(columns.get(2)?)?);
    let kind = if destination.ip().is_unspecified() {
        FdKind::Server { address: source, l4 }
    } else {
        FdKind::Connection { source, destination, l4 }
    };
    Some((columns.get(9)?.parse().ok()?, kind))
}

/// Words of four bytes in hexadecimal, each in the machine's order, and the port.
fn end(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |bytes: &[u8]| u32::from_str_radix(str::from_utf8(bytes).ok()?, 16).ok().map(u32::to_ne_bytes);
    let words: Vec<[u8; 4]> =
        ip.as_bytes().as_chunks::<8>().0.iter().map(|w| word(w)).collect::<Option<_>>()?;
    let bytes = words.as_flattened();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// `ffff8880: 00000002 00000000 00010000 0001 01 24816 /run/x`; the path may hold blanks, or not be there.
fn unix(line: &str) -> Option<(u64, FdKind)> {
    let mut columns = line.split_whitespace();
    let source = u64::from_str_radix(columns.next()?.trim_end_matches(':'), 16).ok()?;
    let ino = columns.nth(5)?.parse().ok()?;
    let path = (0..7).try_fold(line, |rest, _| Some(rest.trim_start().split_once(' ')?.1));
    Some((ino, FdKind::Unix { source, destination: 0, path: path.unwrap_or_default().as_bytes().to_vec() }))
}

fn netlink(line: &str) -> Option<(u64, FdKind)> {
    let ino = line.split_whitespace().next_back()?.parse().ok()?;
    Some((ino, FdKind::Named { kind: FdType::Netlink, name: format!("socket:[{ino}]").into_bytes() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 x";
        assert_eq!(
            ip(tcp, 2),
            Some((77, FdKind::Server { address: "127.0.0.1:8080".parse().unwrap(), l4: 2 }))
        );
        let v6 = "0: 00000000000000000000000001000000:0050 00000000000000000000000001000000:C350 01 0:0 0:0 0 0 0 78 1";
        let (source, destination) = ("[::1]:80".parse().unwrap(), "[::1]:50000".parse().unwrap());
        assert_eq!(ip(v6, 2), Some((78, FdKind::Connection { source, destination, l4: 2 })));
        let bound = "00000000000000ff: 00000002 00000000 00010000 0001 01 24816 /run/a b";
        let path = b"/run/a b".to_vec();
        assert_eq!(unix(bound), Some((24816, FdKind::Unix { source: 255, destination: 0, path })));
        let unbound = "00000000000000ff: 00000003 00000000 00000000 0001 03 24817";
        assert_eq!(
            unix(unbound),
            Some((24817, FdKind::Unix { source: 255, destination: 0, path: Vec::new() }))
        );
        for line in ["", "sl", "0: x y z"] {
            assert_eq!((ip(line, 2), unix(line)), (None, None));
        }
    }
}
