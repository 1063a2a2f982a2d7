//! Network interfaces of the recorded machine.

use std::net::IpAddr;

use crate::{cursor::Cursor, lists::entries};

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its own address.
    pub address: IpAddr,
    /// Which bits of the address are the network's.
    pub netmask: IpAddr,
    /// The network's broadcast address.
    pub broadcast: IpAddr,
    /// Bits per second; 0 if unknown.
    pub linkspeed: u64,
    /// `eth0`.
    pub name: Vec<u8>,
}

const IPV4: u16 = 1;
const IPV6: u16 = 2;
const IPV4_NO_SPEED: u16 = 3;
const IPV6_NO_SPEED: u16 = 4;

/// Reads either version of the list; the prefix of the second does not count itself.
pub(crate) fn read(body: Cursor, version: u8) -> Option<Vec<Interface>> {
    entries(
        body,
        |body| if version == 1 { Interface::read(body) } else { Interface::read(&mut body.entry(false)?) },
    )
}

impl Interface {
    fn read(entry: &mut Cursor) -> Option<Self> {
        let (kind, name_bytes) = (entry.u16()?, entry.u16()?);
        let mut ip = || match kind {
            IPV4 | IPV4_NO_SPEED => entry.array::<4>().map(IpAddr::from),
            IPV6 | IPV6_NO_SPEED => entry.array::<16>().map(IpAddr::from),
            _ => None,
        };
        let (address, netmask, broadcast) = (ip()?, ip()?, ip()?);
        let linkspeed = if kind <= IPV6 { entry.u64()? } else { 0 };
        let name = entry.bytes(usize::from(name_bytes))?.to_vec();
        Some(Self { address, netmask, broadcast, linkspeed, name })
    }
}
