//! Network interfaces of the recorded machine.

use std::net::IpAddr;

use crate::{cursor::Cursor, lists::entries, out::Out};

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

/// The kernel's bound for names.
const NAME_BYTES: usize = 15;
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

/// Writes the second version.
pub(crate) fn write(out: &mut Out, list: &[Interface]) {
    for interface in list {
        out.entry(false, |out| interface.write(out));
    }
}

impl Interface {
    fn write(&self, out: &mut Out) {
        let name = self.name.get(..NAME_BYTES).unwrap_or(&self.name);
        out.u16(if self.address.is_ipv4() { IPV4 } else { IPV6 });
        out.u16(u16::try_from(name.len()).unwrap_or(0));
        for ip in [self.address, self.netmask, self.broadcast] {
            out.ip(ip);
        }
        out.u64(self.linkspeed);
        out.bytes(name);
    }

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
