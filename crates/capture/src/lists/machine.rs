//! The machine that was recorded.

use crate::{cursor::Cursor, out::Out};

/// Bytes of the host name's place.
const HOST_BYTES: usize = 128;

/// What is known of the recorded machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// Number of CPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Largest process id.
    pub max_pid: u64,
    /// Its name, at most 127 bytes.
    pub hostname: Vec<u8>,
    /// When it started, nanoseconds since the Unix epoch.
    pub boot_ts: u64,
    /// Bits that the format leaves to the writer.
    pub flags: u64,
}

impl Machine {
    pub(crate) fn read(mut body: Cursor) -> Option<Self> {
        let (cpus, memory, max_pid) = (body.u32()?, body.u64()?, body.u64()?);
        let host = body.array::<HOST_BYTES>()?;
        let hostname = host.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        Some(Self { cpus, memory, max_pid, hostname, boot_ts: body.u64()?, flags: body.u64()? })
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.u32(self.cpus);
        out.u64(self.memory);
        out.u64(self.max_pid);
        let mut host = [0; HOST_BYTES];
        host.iter_mut().take(HOST_BYTES - 1).zip(&self.hostname).for_each(|(place, byte)| *place = *byte);
        out.bytes(&host);
        out.u64(self.boot_ts);
        out.u64(self.flags);
        out.bytes(&[0; 16]);
    }
}
