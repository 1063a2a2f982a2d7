//! What is known of a process: pure data, kept by the engine's process table.

use std::{
    borrow::Cow,
    cell::OnceCell,
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use saker_rules::{schema::ProcessState, spare};

use crate::{
    container::Container,
    descriptor::{Descriptor, FdType, Used},
    list::{items, join, joined},
};

/// Names a process for as long as the machine runs: process ids are used again, start times are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ProcessKey {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Start of its first thread, nanoseconds since boot.
    pub start: u64,
}

/// One process; where captures are read, one thread.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Its name in the table.
    pub key: ProcessKey,
    /// Thread id in the initial pid namespace; of a process its first thread's.
    pub tid: i64,
    /// Process id in the initial pid namespace; negative if unknown.
    pub pid: i64,
    /// Who started it. Live events name the process, and it stays when that ends first; captures name the thread,
    /// or who adopted it since. Negative if unknown, 0 if it is nobody.
    pub ptid: i64,
    /// When it was started, nanoseconds since the Unix epoch; 0 if unknown.
    pub started: u64,
    /// The program it runs; shared with the processes it forked.
    pub image: Arc<Image>,
    /// Name of the task, at most 15 bytes.
    pub comm: Arc<[u8]>,
    /// Working directory, ending in `/`; empty if unknown.
    pub cwd: Arc<[u8]>,
    /// `subsystem=path`, separated by NUL.
    pub cgroups: Arc<[u8]>,
    /// The container that the cgroups name.
    pub container: Option<Arc<Container>>,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Who logged in; `u32::MAX` if nobody.
    pub loginuid: u32,
    /// Controlling terminal, 0 if none.
    pub tty: u32,
    /// Session, or -1.
    pub sid: i64,
    /// Process group in the initial pid namespace, or -1.
    pub pgid: i64,
    /// Process group in its own pid namespace, or -1.
    pub vpgid: i64,
    /// Process id in its own pid namespace, or -1.
    pub vpid: i64,
    /// Thread id in its own pid namespace, or -1.
    pub vtid: i64,
    /// Whether its record says that it lives in a pid namespace of its own.
    pub in_pidns: bool,
    /// Start of its pid namespace, nanoseconds since the Unix epoch; 0 if unknown.
    pub pidns_start: u64,
    /// Capabilities, a bit each as in the table `capability`.
    pub caps: Capabilities,
    /// Largest number of open files, or -1.
    pub fdlimit: i64,
    /// Memory and page faults at its last fork or exec.
    pub memory: Memory,
}

/// A program and how it was called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// `argv[0]`.
    pub exe: Box<[u8]>,
    /// Path of the executable as the kernel knows it.
    pub exepath: Box<[u8]>,
    /// `argv[1..]`, separated by NUL.
    pub args: Box<[u8]>,
    /// `NAME=value`, separated by NUL.
    pub env: Box<[u8]>,
    /// Bits of the table `execve_flags`.
    pub flags: u64,
    /// Inode of the executable, 0 if unknown.
    pub ino: u64,
    /// When its inode changed, nanoseconds since the Unix epoch.
    pub ctime: u64,
    /// When its content changed, nanoseconds since the Unix epoch.
    pub mtime: u64,
    /// What [`Process::cmdline`] made of it.
    pub cmdline: Cmdline,
}

/// A command line, put together when it is first asked for, and the name that it was made with. A copy of its program
/// knows none: what differs may be what it was made of.
#[derive(Debug, Default)]
pub struct Cmdline(OnceLock<(Name, Box<[u8]>)>);

type Name = Arc<[u8]>;

impl Clone for Cmdline {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Cmdline {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cmdline {}

/// Sets of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub struct Capabilities {
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
}

impl Capabilities {
    /// All that there are, as in a new user namespace.
    pub const ALL: Self = {
        let all = (1 << 41) - 1;
        Self { inheritable: all, permitted: all, effective: all }
    };
}

/// Memory of a process, kilobytes, and its page faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields'")]
pub struct Memory {
    pub size: u64,
    pub rss: u64,
    pub swap: u64,
    pub faults_major: u64,
    pub faults_minor: u64,
}

impl Process {
    /// A process of which nothing but its key is known: rules see `<NA>` for its names (scap-format.md §6).
    pub fn unknown(key: ProcessKey) -> Self {
        let image = Image { exe: (*b"<NA>").into(), ..Image::default() };
        let pid = i64::from(key.pid);
        Self {
            key,
            tid: pid,
            pid,
            ptid: -1,
            image: Arc::new(image),
            comm: Arc::from(*b"<NA>"),
            uid: u32::MAX,
            gid: u32::MAX,
            loginuid: u32::MAX,
            sid: -1,
            pgid: -1,
            vpgid: -1,
            vpid: -1,
            vtid: -1,
            fdlimit: -1,
            ..Self::default()
        }
    }

    /// Whether it is the first thread of its process.
    pub fn is_main(&self) -> bool {
        self.tid == self.pid
    }

    /// Whether it lives in a pid namespace of its own.
    pub fn in_pid_namespace(&self) -> bool {
        self.in_pidns || self.vtid != self.tid
    }

    /// `argv[1..]` as Falco shows it: joined by one blank.
    pub fn args(&self) -> Vec<u8> {
        join(&self.image.args)
    }

    /// `comm` and arguments.
    pub fn cmdline(&self) -> Cow<'_, [u8]> {
        let known = self.image.cmdline.0.get_or_init(|| (Arc::clone(&self.comm), self.join_cmdline().into()));
        let (comm, whole) = known;
        if *comm == self.comm { Cow::Borrowed(whole) } else { Cow::Owned(self.join_cmdline()) }
    }

    fn join_cmdline(&self) -> Vec<u8> {
        let args = self.args();
        if args.is_empty() { self.comm.to_vec() } else { [&self.comm, args.as_slice()].join(&b' ') }
    }

    /// `argv[0]`, a blank, and arguments; Falco writes the blank without arguments too.
    pub fn exeline(&self) -> Vec<u8> {
        let mut line = spare::text();
        line.extend_from_slice(&self.image.exe);
        line.push(b' ');
        line.extend(joined(&self.image.args));
        line
    }

    /// The value of an environment variable.
    pub fn env(&self, name: &[u8]) -> Option<&[u8]> {
        let mut items = items(&self.image.env);
        items.find_map(|item| item.strip_prefix(name)?.strip_prefix(b"=")).map(<[u8]>::trim_ascii)
    }
}

/// Looks processes up: what a record needs of the engine's table. What a table does not keep has the answer of an
/// empty one.
pub trait Processes: fmt::Debug {
    /// The process that had this id at a time, nanoseconds since boot: the last one started before it.
    fn at(&self, pid: u32, time: u64) -> Option<&Process>;

    /// The process or thread that has this id now.
    fn by_tid(&self, tid: i64) -> Option<&Process> {
        self.at(u32::try_from(tid).ok()?, u64::MAX)
    }

    /// The process as it is now, where changes are noticed: equal ones have the same program, ids, user and parents.
    fn state(&self, _process: &Process) -> Option<ProcessState> {
        None
    }

    /// Who started a process; alive or ended a short while ago.
    fn parent(&self, process: &Process) -> Option<&Process> {
        let older = self.at(u32::try_from(process.ptid).ok()?, process.key.start)?;
        (older.key != process.key).then_some(older)
    }

    /// The thread that started this one, where threads are told apart.
    fn starter(&self, process: &Process) -> Option<&Process> {
        self.parent(process)
    }

    /// The first thread of a thread's process: it holds what they share.
    fn main<'a>(&'a self, process: &'a Process) -> Option<&'a Process> {
        Some(process)
    }

    /// Living threads of the process.
    fn threads(&self, _process: &Process) -> Option<Threads> {
        None
    }

    /// What stands behind a number in the process's table of descriptors.
    fn descriptor(&self, _process: &Process, _number: i64) -> Option<&Descriptor> {
        None
    }

    /// What the process has open by this number, such as standard input.
    fn standard(&self, process: &Process, number: i64) -> Option<Standard<'_>> {
        let found = self.descriptor(process, number)?;
        Some(Standard { kind: found.kind, name: Cow::Borrowed(&found.name) })
    }

    /// How many descriptors the process has open, where they are counted.
    fn descriptors(&self, _process: &Process) -> Option<usize> {
        None
    }

    /// What the process's descriptors are, each type once.
    fn descriptor_types(&self, _process: &Process) -> Option<Vec<FdType>> {
        None
    }

    /// What the event at hand did with its descriptor, where a table of them is kept.
    fn used_descriptor(&self) -> Option<Used> {
        None
    }

    /// Whether an address is one of this machine's, where they are known.
    fn is_local(&self, _address: IpAddr) -> Option<bool> {
        None
    }
}

/// What stands behind a descriptor that no event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standard<'a> {
    /// What it is.
    pub kind: FdType,
    /// As `fd.name` has it.
    pub name: Cow<'a, [u8]>,
}

/// What was asked of the process of an event: once, however many fields show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked<'a> {
    threads: OnceCell<Option<Threads>>,
    descriptors: OnceCell<Option<usize>>,
    types: OnceCell<Option<Vec<FdType>>>,
    standard: [OnceCell<Option<Standard<'a>>>; 3],
}

impl<'a> Asked<'a> {
    /// The same for another view of the event.
    pub(crate) fn again<'b>(&self) -> Asked<'b>
    where
        'a: 'b,
    {
        let standard = self.standard.each_ref().map(|known| known.get().cloned());
        Asked {
            threads: self.threads.clone(),
            descriptors: self.descriptors.clone(),
            types: self.types.clone(),
            standard: standard.map(|known| known.map_or_else(OnceCell::new, OnceCell::from)),
        }
    }

    pub(crate) fn threads(&self, process: &Process, processes: &dyn Processes) -> Option<Threads> {
        *self.threads.get_or_init(|| processes.threads(process))
    }

    pub(crate) fn descriptors(&self, process: &Process, processes: &dyn Processes) -> Option<usize> {
        *self.descriptors.get_or_init(|| processes.descriptors(process))
    }

    pub(crate) fn types(&self, process: &Process, processes: &dyn Processes) -> Option<&[FdType]> {
        self.types.get_or_init(|| processes.descriptor_types(process)).as_deref()
    }

    pub(crate) fn standard(
        &self,
        process: &Process,
        processes: &'a dyn Processes,
        number: u8,
    ) -> Option<&Standard<'a>> {
        let known = self.standard.get(usize::from(number))?;
        known.get_or_init(|| processes.standard(process, number.into())).as_ref()
    }
}

/// Numbers of the living threads of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Threads {
    /// All of them.
    pub all: usize,
    /// Those beside the first.
    pub others: usize,
}

/// No processes at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProcesses;

impl Processes for NoProcesses {
    fn at(&self, _: u32, _: u64) -> Option<&Process> {
        None
    }
}

/// Tells of processes what no event does; `None` of one that has ended.
pub trait Living: fmt::Debug + Send + Sync {
    /// Its threads.
    fn threads(&self, process: ProcessKey) -> Option<usize>;

    /// How many descriptors it has open.
    fn descriptors(&self, process: ProcessKey) -> Option<usize>;

    /// What its descriptors are, each type once.
    fn descriptor_types(&self, process: ProcessKey) -> Option<Vec<FdType>>;

    /// What it has open by this number, such as standard input.
    fn standard(&self, process: ProcessKey, number: i64) -> Option<Standard<'static>>;
}

/// Generations that a look upwards goes at most.
const MAX_ANCESTORS: usize = 256;

/// The thread and who started it, oldest last, until the first that is not known or was met before.
pub fn starters<'a>(
    process: Option<&'a Process>,
    processes: &'a dyn Processes,
) -> impl Iterator<Item = &'a Process> {
    let first = process.map(|p| p.tid);
    let next = move |p: &&'a Process| processes.starter(p).filter(|s| Some(s.tid) != first);
    std::iter::successors(process, next).take(MAX_ANCESTORS)
}

/// The process and its parents, oldest last, until the first that is not known.
pub fn lineage<'a>(
    process: Option<&'a Process>,
    processes: &'a dyn Processes,
) -> impl Iterator<Item = &'a Process> {
    std::iter::successors(process, |p| processes.parent(p)).take(MAX_ANCESTORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(comm: &str, args: &[u8], env: &[u8]) -> Process {
        let image = Image { args: args.into(), env: env.into(), ..Image::default() };
        Process { comm: comm.as_bytes().into(), image: Arc::new(image), ..Process::default() }
    }

    #[test]
    fn command_lines_join_by_blanks() {
        assert_eq!(&*process("cat", b"", b"").cmdline(), b"cat");
        assert_eq!(process("cat", b"", b"").exeline(), b" ");
        assert_eq!(&*process("cat", b"-n\0/etc/passwd\0", b"").cmdline(), b"cat -n /etc/passwd");
        assert_eq!(&*process("cat", b"a\0\0b\0", b"").cmdline(), b"cat a  b");
    }

    #[test]
    fn a_command_line_follows_the_name() {
        let mut process = process("cat", b"x\0", b"");
        assert_eq!(&*process.cmdline(), b"cat x");
        process.comm = (*b"tac").into();
        assert_eq!(&*process.cmdline(), b"tac x");
        let other = Image { args: (*b"y").into(), ..Image::clone(&process.image) };
        process.image = Arc::new(other);
        assert_eq!(&*process.cmdline(), b"tac y");
    }

    #[test]
    fn environment_by_name() {
        let process = process("sh", b"", b"HOME=/root\0HOM= x \0EMPTY=\0");
        assert_eq!(process.env(b"HOME"), Some(&b"/root"[..]));
        assert_eq!(process.env(b"HOM"), Some(&b"x"[..]));
        assert_eq!(process.env(b"EMPTY"), Some(&b""[..]));
        assert_eq!(process.env(b"OTHER"), None);
    }
}
