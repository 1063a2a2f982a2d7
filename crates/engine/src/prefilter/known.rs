//! What the kernel knows of an open when it decides whether to report it.

use saker_rules::ast::Operand;

/// What decides, beside the path. Each of the calls that open a file is of some of these kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
pub struct Open {
    /// It asked to read.
    pub read: bool,
    /// It asked to write.
    pub write: bool,
    /// It asked for a directory.
    pub directory: bool,
    /// It returned a descriptor.
    pub success: bool,
}

/// What is known of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// Nothing.
    Nothing,
    /// It has no value: every comparison is false.
    Absent,
    Text(&'a str),
    Bool(bool),
    /// One of these numbers.
    Range(i64, i64),
    /// The path or a part of it.
    Path(Part),
    /// The path as given.
    Raw,
}

/// A text that is made of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Whole,
    Directory,
    Filename,
}

impl Open {
    /// How many kinds there are.
    pub const KINDS: usize = 16;

    /// Every kind, by index.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|bits| Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            directory: bits & 4 != 0,
            success: bits & 8 != 0,
        })
    }

    /// Its place in the table.
    pub fn index(self) -> usize {
        let bits = [self.read, self.write, self.directory, self.success];
        bits.iter().rev().fold(0, |index, bit| index << 1 | usize::from(*bit))
    }

    /// Names of the calls that such an open can be; `creat` always writes.
    pub(super) fn calls(self) -> impl Iterator<Item = &'static str> + use<> {
        let creat = self.write && !self.read && !self.directory;
        ["open", "openat", "openat2"].into_iter().chain(creat.then_some("creat"))
    }

    /// What is known of a field when `call` opens a file.
    pub(super) fn known(self, call: &'static str, field: &Operand) -> Known<'static> {
        let Operand::Field { name, arg, .. } = field else { return Known::Nothing };
        match (name.as_str(), arg.as_deref()) {
            ("evt.arg", Some("name")) | ("fd.nameraw" | "fs.path.nameraw" | "evt.arg.name", None) => {
                Known::Raw
            }
            (name, None) => self.known_alone(call, name),
            _ => Known::Nothing,
        }
    }

    fn known_alone(self, call: &'static str, name: &str) -> Known<'static> {
        let flags = call != "creat";
        match name {
            "evt.type" | "syscall.type" => Known::Text(call),
            "evt.num" => Known::Range(1, i64::MAX),
            "evt.failed" => Known::Bool(!self.success),
            "evt.rawres" | "fd.num" if self.success => Known::Range(0, i64::MAX),
            "evt.rawres" => Known::Range(i64::MIN, -1),
            "evt.res" if self.success => Known::Text("SUCCESS"),
            "evt.is_open_read" => Known::Bool(self.read && flags),
            "evt.is_open_write" => Known::Bool(self.write && flags),
            "fd.num" => Known::Range(-1, -1),
            "fd.type" | "fd.typechar" => self.fd_type(call, name == "fd.type"),
            "fd.name" => Known::Path(Part::Whole),
            "fd.directory" if self.success && self.directory => Known::Path(Part::Whole),
            "fd.directory" => Known::Path(Part::Directory),
            "fd.filename" if self.success && !self.directory => Known::Path(Part::Filename),
            "fd.filename" => Known::Absent,
            _ => Known::Nothing,
        }
    }

    fn fd_type(self, call: &str, long: bool) -> Known<'static> {
        match (self.success, self.directory) {
            (true, false) => Known::Text(if long { "file" } else { "f" }),
            (true, true) => Known::Text(if long { "directory" } else { "d" }),
            (false, _) if long => Known::Absent,
            (false, _) => Known::Text(if call == "open" { "o" } else { "f" }),
        }
    }
}
