//! The system calls that the probe can report, and what each machine calls them.

use saker_events::table::{self, SYSCALLS, SyscallRow};

/// Words of the probe's bitmap.
pub(crate) const WORDS: usize = 9;
/// Numbers of calls in the probe.
pub(crate) const NUMBERS: usize = WORDS * 64;
/// Marks a number that is no call in the probe's tables.
const NO_CALL: u16 = 0xffff;
/// The call that i386 puts all others on sockets into, by the number that the probe knows it by.
const SOCKETCALL: u16 = 575;

/// `sched_get_priority_max`, which hardly anybody calls; `maps.h` has it too.
const MARKER: u16 = 146;

/// What `socketcall` calls the others, counted from 1.
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The calls of 32-bit programs on arm64 that the probe knows.
const ARM: [(&str, u16); 11] = [
    ("fork", 2),
    ("open", 5),
    ("creat", 8),
    ("execve", 11),
    ("clone", 120),
    ("vfork", 190),
    ("connect", 283),
    ("openat", 322),
    ("execveat", 387),
    ("clone3", 435),
    ("openat2", 437),
];

/// A set of system calls to report at their exit. `execve` and `execveat` mean failed calls: a process that
/// runs a new program is always reported, as are new and ended processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyscallSet {
    words: [u64; WORDS],
}

/// A name that no system call and no event of one has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the probe does not capture the system call {0:?}")]
pub struct NotCaptured(pub String);

/// Reported by the probe's own hooks, not at the exit of the call.
const BY_HOOK: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// What the probe can report: all calls but those that its hooks see.
fn captured() -> impl Iterator<Item = (&'static SyscallRow, u16)> {
    numbered().filter(|(call, _)| !BY_HOOK.contains(&call.name))
}

/// Every call with the number that the probe knows it by on every machine: that of x86_64; calls that it lacks are
/// numbered from the end.
pub(crate) fn numbered() -> impl Iterator<Item = (&'static SyscallRow, u16)> {
    let reached = |call: &SyscallRow| {
        !call.i386.is_empty() || call.aarch64.is_some() || SOCKET_CALLS.contains(&call.name)
    };
    let mut next = SOCKETCALL;
    SYSCALLS.iter().filter_map(move |call| match call.x86_64 {
        Some(number) => Some((call, number)),
        None if call.name == "socketcall" => Some((call, SOCKETCALL)),
        None => reached(call).then(|| {
            next = next.saturating_sub(1);
            (call, next)
        }),
    })
}

/// The probe's tables of other machines' numbers: this machine's, that of its 32-bit programs, `socketcall`'s.
pub(crate) fn numbers() -> [[u16; NUMBERS]; 3] {
    let mut tables = [[NO_CALL; NUMBERS]; 3];
    let [native, compat, sockets] = &mut tables;
    for (call, number) in numbered() {
        let socket = SOCKET_CALLS.iter().zip(1_u16..).find(|(name, _)| **name == call.name).map(|(_, at)| at);
        set(native, own_number(call), number);
        set(sockets, socket, number);
        for at in compat_numbers(call) {
            set(compat, Some(at), number);
        }
    }
    tables
}

fn own_number(call: &SyscallRow) -> Option<u16> {
    if cfg!(target_arch = "x86_64") { call.x86_64 } else { call.aarch64 }
}

fn compat_numbers(call: &SyscallRow) -> Vec<u16> {
    if cfg!(target_arch = "x86_64") {
        return call.i386.to_vec();
    }
    ARM.iter().filter(|(name, _)| *name == call.name).map(|(_, at)| *at).collect()
}

fn set(table: &mut [u16; NUMBERS], at: Option<u16>, number: u16) {
    if let Some(slot) = at.and_then(|at| table.get_mut(usize::from(at))) {
        *slot = number;
    }
}

impl SyscallSet {
    /// All that the probe captures.
    pub fn all() -> Self {
        let mut set = Self::default();
        for (_, number) in captured() {
            set.insert_number(number);
        }
        set
    }

    /// The calls of these names, and those that make events of these names.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NotCaptured> {
        let mut set = Self::default();
        for name in names {
            let before = set;
            captured()
                .filter(|(call, _)| table::makes(call, name))
                .for_each(|(_, number)| set.insert_number(number));
            if set == before && !captured().any(|(call, _)| table::makes(call, name)) {
                return Err(NotCaptured(name.to_owned()));
            }
        }
        Ok(set)
    }

    /// Names of the calls in the set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        captured().filter(|(_, number)| self.contains_number(*number)).map(|(call, _)| call.name)
    }

    /// Whether no call is in it.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// With the call by which the agent tests the hook.
    pub(crate) fn with_marker(mut self) -> Self {
        self.insert_number(MARKER);
        self
    }

    pub(crate) fn words(&self) -> [u64; WORDS] {
        self.words
    }

    fn insert_number(&mut self, number: u16) {
        if let Some(word) = self.words.get_mut(usize::from(number >> 6)) {
            *word |= 1 << (number & 63);
        }
    }

    fn contains_number(&self, number: u16) -> bool {
        self.words.get(usize::from(number >> 6)).is_some_and(|word| word >> (number & 63) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_in_and_come_out() {
        let set = SyscallSet::from_names(["openat2", "open"]).unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), ["open", "openat2"]);
        assert!(SyscallSet::from_names([]).unwrap().is_empty());
        assert_eq!(SyscallSet::from_names(["clone"]), Err(NotCaptured("clone".to_owned())));
        assert_eq!(SyscallSet::from_names(["read", "no_call"]), Err(NotCaptured("no_call".to_owned())));
    }

    #[test]
    fn an_event_is_made_by_all_its_calls() {
        let names = |event| SyscallSet::from_names([event]).unwrap().names().collect::<Vec<_>>();
        assert_eq!(names("setuid"), ["setuid", "setuid32"]);
        assert_eq!(names("pread"), ["pread64"]);
        assert_eq!(names("madvise"), ["madvise"]);
        assert_eq!(SyscallSet::all().names().count(), captured().count());
    }

    #[test]
    fn numbers_are_unique_and_in_range() {
        let mut seen = std::collections::BTreeSet::new();
        for (call, number) in numbered() {
            assert!(usize::from(number) < NUMBERS && seen.insert(number), "{} {number}", call.name);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn numbers_of_32_bit_programs_lead_to_the_same_calls() {
        let [native, compat, sockets] = numbers();
        assert_eq!((native[2], compat[5], compat[295], sockets[3]), (2, 2, 257, 42));
        assert_eq!((compat[102], compat[213], sockets[0]), (SOCKETCALL, compat[213], NO_CALL));
        assert_ne!(compat[213], NO_CALL, "setuid32");
    }
}
