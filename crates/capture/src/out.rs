//! Little-endian values into the body of a block.

use std::net::IpAddr;

/// Bytes being written.
#[derive(Debug, Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
    }

    /// `u16 len + bytes`, cut to what readers accept.
    pub(crate) fn text(&mut self, text: &[u8], most: u16) {
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX).min(most);
        self.u16(len);
        self.bytes(text.get(..usize::from(len)).unwrap_or_default());
    }

    /// An entry behind its length, which counts itself if `inclusive`.
    pub(crate) fn entry(&mut self, inclusive: bool, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.u32(0);
        write(self);
        let len = self.0.len().saturating_sub(start).saturating_sub(if inclusive { 0 } else { 4 });
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let end = start.saturating_add(4);
        self.0.get_mut(start..end).into_iter().for_each(|place| place.copy_from_slice(&len.to_le_bytes()));
    }
}
