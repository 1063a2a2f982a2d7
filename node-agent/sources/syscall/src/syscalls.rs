//! The system calls that the probe can report.

/// Name, x86_64 number. The probe knows them by this number on every machine.
const CAPTURED: [(&str, u16); 7] = [
    ("open", 2),
    ("connect", 42),
    ("execve", 59),
    ("creat", 85),
    ("openat", 257),
    ("execveat", 322),
    ("openat2", 437),
];

/// Words of the probe's bitmap.
pub(crate) const WORDS: usize = 8;

/// A set of system calls to report at their exit. `execve` and `execveat` mean failed calls: a process that
/// runs a new program is always reported, as are new and ended processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyscallSet {
    words: [u64; WORDS],
}

/// A system call that the probe cannot report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the probe does not capture the system call {0:?}")]
pub struct NotCaptured(pub String);

impl SyscallSet {
    /// All that the probe captures.
    pub fn all() -> Self {
        let mut set = Self::default();
        for (_, number) in CAPTURED {
            set.insert_number(number);
        }
        set
    }

    /// The calls of these names.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NotCaptured> {
        let mut set = Self::default();
        for name in names {
            let row = CAPTURED.iter().find(|(known, _)| *known == name);
            set.insert_number(row.ok_or_else(|| NotCaptured(name.to_owned()))?.1);
        }
        Ok(set)
    }

    /// Names of the calls in the set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        CAPTURED.iter().filter(|(_, number)| self.contains_number(*number)).map(|(name, _)| *name)
    }

    /// Whether no call is in it.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
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
        assert_eq!(SyscallSet::all().names().count(), CAPTURED.len());
        assert!(SyscallSet::from_names([]).unwrap().is_empty());
        assert_eq!(SyscallSet::from_names(["read"]), Err(NotCaptured("read".to_owned())));
    }
}
