//! Threads that ran when the capture began.

use crate::{cursor::Cursor, lists::entries, out::Out};

/// One thread. Ids that the writer did not know are -1, other fields of newer versions 0 or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the format's own fields")]
pub struct ListedProcess {
    /// Thread id.
    pub tid: i64,
    /// Its process.
    pub pid: i64,
    /// The thread that made the process.
    pub ptid: i64,
    /// Session.
    pub sid: i64,
    /// Process group inside its pid namespace.
    pub vpgid: i64,
    /// The kernel's short name.
    pub comm: Vec<u8>,
    /// First argument of its exec.
    pub exe: Vec<u8>,
    /// Path of the executed file.
    pub exepath: Vec<u8>,
    /// The other arguments, each closed by a NUL.
    pub args: Vec<u8>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Largest number of descriptors.
    pub fdlimit: u64,
    /// Bits of the symbols `clone_flags`, and bits of the writer's own (scap-format.md §2).
    pub flags: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Virtual memory, KiB.
    pub vmsize_kb: u32,
    /// Resident memory, KiB.
    pub vmrss_kb: u32,
    /// Swapped memory, KiB.
    pub vmswap_kb: u32,
    /// Page faults that needed a disk.
    pub pfmajor: u64,
    /// Page faults that did not.
    pub pfminor: u64,
    /// Environment, each variable closed by a NUL.
    pub env: Vec<u8>,
    /// Thread id inside its pid namespace.
    pub vtid: i64,
    /// Process id inside its pid namespace.
    pub vpid: i64,
    /// `subsystem=path`, each closed by a NUL.
    pub cgroups: Vec<u8>,
    /// Root directory.
    pub root: Vec<u8>,
    /// Start of the first process of its pid namespace, nanoseconds since the Unix epoch.
    pub pidns_init_start_ts: u64,
    /// Controlling terminal, as a device number.
    pub tty: u32,
    /// Who logged in; `u32::MAX` for nobody.
    pub loginuid: u32,
    /// Whether the user may write the executed file.
    pub exe_writable: bool,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Whether the executed file is in the upper layer of an overlay.
    pub exe_upper_layer: bool,
    /// Inode of the executed file.
    pub exe_ino: u64,
    /// Its last change of status, nanoseconds since the Unix epoch.
    pub exe_ino_ctime: u64,
    /// Its last change of content, nanoseconds since the Unix epoch.
    pub exe_ino_mtime: u64,
    /// Whether the executed file is in memory alone.
    pub exe_from_memfd: bool,
    /// Whether the executed file is in a lower layer of an overlay.
    pub exe_lower_layer: bool,
    /// Process group.
    pub pgid: i64,
}

impl Default for ListedProcess {
    fn default() -> Self {
        Self {
            tid: -1,
            pid: -1,
            ptid: -1,
            sid: -1,
            vpgid: -1,
            comm: Vec::new(),
            exe: Vec::new(),
            exepath: Vec::new(),
            args: Vec::new(),
            cwd: Vec::new(),
            fdlimit: 0,
            flags: 0,
            uid: u32::MAX,
            gid: u32::MAX,
            vmsize_kb: 0,
            vmrss_kb: 0,
            vmswap_kb: 0,
            pfmajor: 0,
            pfminor: 0,
            env: Vec::new(),
            vtid: -1,
            vpid: -1,
            cgroups: Vec::new(),
            root: Vec::new(),
            pidns_init_start_ts: 0,
            tty: 0,
            loginuid: u32::MAX,
            exe_writable: false,
            cap_inheritable: 0,
            cap_permitted: 0,
            cap_effective: 0,
            exe_upper_layer: false,
            exe_ino: 0,
            exe_ino_ctime: 0,
            exe_ino_mtime: 0,
            exe_from_memfd: false,
            exe_lower_layer: false,
            pgid: -1,
        }
    }
}

/// The version whose entries tell their length.
const DELIMITED: u8 = 9;
/// Writers before libs 0.10 leave out two fields; then this many bytes at most follow the root directory.
const BYTES_WITHOUT_TTY: usize = 29;

/// Reads any version of the list.
pub(crate) fn read(body: Cursor, version: u8) -> Option<Vec<ListedProcess>> {
    entries(body, |body| {
        if version < DELIMITED {
            return ListedProcess::read(body, version);
        }
        let mut entry = body.entry(true)?;
        let mut process = ListedProcess::read(&mut entry, version)?;
        process.read_appended(entry);
        Some(process)
    })
}

/// Writes the ninth version.
pub(crate) fn write(out: &mut Out, list: &[ListedProcess]) {
    for process in list {
        out.entry(true, |out| process.write(out));
    }
}

/// Longer texts are refused by other readers.
const MAX_TEXT: u16 = 1024;
const MAX_LIST: u16 = 4096;

impl ListedProcess {
    fn write(&self, out: &mut Out) {
        for id in [self.tid, self.pid, self.ptid, self.sid, self.vpgid] {
            out.i64(id);
        }
        for text in [&self.comm, &self.exe, &self.exepath] {
            out.text(text, MAX_TEXT);
        }
        out.text(&self.args, MAX_LIST);
        out.text(&self.cwd, MAX_TEXT);
        out.u64(self.fdlimit);
        for number in [self.flags, self.uid, self.gid] {
            out.u32(number);
        }
        for kib in [self.vmsize_kb, self.vmrss_kb, self.vmswap_kb] {
            out.u32(kib);
        }
        for count in [self.pfmajor, self.pfminor] {
            out.u64(count);
        }
        out.text(&self.env, MAX_LIST);
        for id in [self.vtid, self.vpid] {
            out.i64(id);
        }
        out.text(&self.cgroups, MAX_LIST);
        out.text(&self.root, MAX_TEXT);
        self.write_appended(out);
    }

    fn write_appended(&self, out: &mut Out) {
        out.u64(self.pidns_init_start_ts);
        out.u32(self.tty);
        out.u32(self.loginuid);
        out.u8(self.exe_writable.into());
        for caps in [self.cap_inheritable, self.cap_permitted, self.cap_effective] {
            out.u64(caps);
        }
        out.u8(self.exe_upper_layer.into());
        for fact in [self.exe_ino, self.exe_ino_ctime, self.exe_ino_mtime] {
            out.u64(fact);
        }
        out.u8(self.exe_from_memfd.into());
        out.u8(self.exe_lower_layer.into());
        out.i64(self.pgid);
    }

    /// What every version has in this order, with the fields each version put between.
    fn read(entry: &mut Cursor, version: u8) -> Option<Self> {
        let mut p = Self { tid: entry.i64()?, pid: entry.i64()?, ptid: entry.i64()?, ..Self::default() };
        p.sid = if version >= 6 { entry.i64()? } else { p.sid };
        p.vpgid = if version >= 8 { entry.i64()? } else { p.vpgid };
        (p.comm, p.exe) = (entry.text()?, entry.text()?);
        p.exepath = if version >= 7 { entry.text()? } else { p.exepath };
        (p.args, p.cwd) = (entry.text()?, entry.text()?);
        (p.fdlimit, p.flags) = (entry.u64()?, entry.u32()?);
        (p.uid, p.gid) = (entry.u32()?, entry.u32()?);
        if version >= 2 {
            (p.vmsize_kb, p.vmrss_kb, p.vmswap_kb) = (entry.u32()?, entry.u32()?, entry.u32()?);
            (p.pfmajor, p.pfminor) = (entry.u64()?, entry.u64()?);
        }
        p.env = if version >= 3 { entry.text()? } else { p.env };
        if version >= 4 {
            (p.vtid, p.vpid, p.cgroups) = (entry.i64()?, entry.i64()?, entry.text()?);
        }
        p.root = if version >= 5 { entry.text()? } else { p.root };
        Some(p)
    }

    /// What version 9 appended over time, as far as the entry reaches.
    fn read_appended(&mut self, mut entry: Cursor) -> Option<()> {
        if entry.0.len() > BYTES_WITHOUT_TTY {
            self.pidns_init_start_ts = entry.u64()?;
            self.tty = entry.u32()?;
        }
        self.loginuid = entry.u32()?;
        self.exe_writable = entry.u8()? != 0;
        self.cap_inheritable = entry.u64()?;
        self.cap_permitted = entry.u64()?;
        self.cap_effective = entry.u64()?;
        self.exe_upper_layer = entry.u8()? != 0;
        self.exe_ino = entry.u64()?;
        self.exe_ino_ctime = entry.u64()?;
        self.exe_ino_mtime = entry.u64()?;
        self.exe_from_memfd = entry.u8()? != 0;
        self.exe_lower_layer = entry.u8()? != 0;
        self.pgid = entry.i64()?;
        Some(())
    }
}
