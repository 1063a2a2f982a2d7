//! How `/proc/PID` writes what it tells of a process, whoever reads it.

use crate::{
    descriptor::FdType,
    fd_facts::{self, MEMFD},
};

/// Behind the path of a file that is in no directory any more.
const DELETED: &[u8] = b" (deleted)";
/// The field of `stat` behind the program's name.
const FIRST: usize = 3;

/// The line of `stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The program's name, which may have blanks and parentheses.
    pub comm: Vec<u8>,
    numbers: Vec<i64>,
}

impl Stat {
    /// Reads the line; one that was cut off has fewer fields.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'(')?.saturating_add(1);
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let fields = str::from_utf8(line.get(close.saturating_add(1)..)?).ok()?.split_whitespace();
        // The state, a letter, reads as 0.
        let numbers = fields.map(|field| field.parse().unwrap_or(0)).collect();
        Some(Self { comm: line.get(open..close)?.to_vec(), numbers })
    }

    /// A field by its number in proc(5); 0 if it is no number.
    pub fn number(&self, field: usize) -> i64 {
        field.checked_sub(FIRST).and_then(|at| self.numbers.get(at)).copied().unwrap_or(0)
    }
}

/// The path that a link shows, also if the file has been removed since.
pub fn path(link: &[u8]) -> &[u8] {
    link.strip_suffix(DELETED).unwrap_or(link)
}

/// Whether a link is to a file in memory.
pub fn is_in_memory(link: &[u8]) -> bool {
    link.strip_prefix(b"/").is_some_and(|name| name.starts_with(MEMFD)) && link.ends_with(DELETED)
}

/// What a link in `fd` stands for that is no socket, and its name as `fd.name` has it. `mode` is the file's.
pub fn descriptor(link: &[u8], mode: u32) -> (FdType, &[u8]) {
    let in_memory = || path(link).strip_prefix(b"/").filter(|_| is_in_memory(link));
    let alone = link.strip_prefix(b"anon_inode:").or_else(in_memory);
    let kind = fd_facts::file_kind(mode, alone);
    let name = match alone {
        Some(name) if kind == FdType::Memfd => name.strip_prefix(MEMFD).unwrap_or(name),
        Some(_) => b"",
        None => link,
    };
    (kind, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_the_fields_behind_it() {
        let stat = Stat::parse(b"7 (a) S (\xff) b) R 1 2 3 4 -1 6").unwrap();
        assert_eq!(stat.comm, b"a) S (\xff) b");
        assert_eq!([3, 4, 8, 9, 10, 0, 2].map(|field| stat.number(field)), [0, 1, -1, 6, 0, 0, 0]);
        for line in [&b""[..], b"7 a S", b")(", b"7 (a) \xff"] {
            assert_eq!(Stat::parse(line), None);
        }
    }

    #[test]
    fn links_tell_what_a_descriptor_is() {
        let check = |link: &str, mode, kind, name: &str| {
            assert_eq!(descriptor(link.as_bytes(), mode), (kind, name.as_bytes()), "{link}");
        };
        check("/etc/passwd", 0o100_644, FdType::File, "/etc/passwd");
        check("/etc", 0o040_755, FdType::Directory, "/etc");
        check("pipe:[7]", 0o010_600, FdType::Pipe, "pipe:[7]");
        check("mnt:[7]", 0o100_444, FdType::File, "mnt:[7]");
        check("/memfd:x (deleted)", 0o100_777, FdType::Memfd, "x");
        check("/memfd:x", 0o100_777, FdType::File, "/memfd:x");
        check("anon_inode:[eventfd]", 0o600, FdType::Event, "");
        check("anon_inode:[eventfd:7]", 0o600, FdType::Event, "");
        check("anon_inode:[pidfd]", 0o100_700, FdType::Pidfd, "");
        check("anon_inode:inotify", 0o600, FdType::Inotify, "");
        check("anon_inode:[fscontext]", 0o600, FdType::Unknown, "");
    }
}
