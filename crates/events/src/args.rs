//! `evt.arg`, `evt.rawarg` and `evt.args`: parameters with their meaning (scap-format.md §9).

use std::borrow::Cow;

use saker_rules::{schema::FieldArg, spare, value::Value};

use crate::{
    descriptor::{FdType, Protocol},
    fd::{AT_FDCWD, Fd},
    param::{self, Number},
    record::SyscallRecord,
    table::{self, ERRNO, Link, Param, ParamType, SIGNAL, Symbol},
};

impl SyscallRecord<'_> {
    /// `evt.arg[N]`, `evt.arg.name`: the meaning if there is one, else the plain text.
    pub fn arg_text(&self, arg: &FieldArg) -> Option<Value<'_>> {
        let (index, param) = self.find_param(arg)?;
        let bytes = self.event.param(index).unwrap_or_default();
        if let Some(text) = own_text(param, bytes) {
            return Some(Value::text(text));
        }
        let meaning = self.meaning(param, bytes).filter(|text| !text.is_empty());
        Some(Value::owned(meaning.unwrap_or_else(|| self.plain(param, bytes))))
    }

    /// `evt.rawarg`: a parameter in its own type.
    pub fn arg_value(&self, arg: &FieldArg) -> Option<Value<'_>> {
        let (index, param) = self.find_param(arg)?;
        param::value(param, self.event.param(index)?)
    }

    /// `evt.args`: every parameter of the table as `name=plain` or `name=plain(meaning)`.
    pub fn args_text(&self) -> Vec<u8> {
        if self.row.is_generic() {
            return Vec::new();
        }
        let params = self.row.params.iter().enumerate().take(self.event.param_count());
        let params = params.filter(|(_, p)| !p.extension);
        let shown: Vec<Vec<u8>> = params.map(|(index, param)| self.named(index, param)).collect();
        shown.join(&b' ')
    }

    fn named(&self, index: usize, param: &Param) -> Vec<u8> {
        let bytes = self.event.param(index).unwrap_or_default();
        let mut out = [param.name.as_bytes(), b"=", &self.plain(param, bytes)].concat();
        if let Some(meaning) = self.meaning(param, bytes).filter(|text| !text.is_empty()) {
            out.push(b'(');
            out.extend(meaning);
            out.push(b')');
        }
        out
    }

    /// By position among the table's own parameters, or by the name of any.
    fn find_param(&self, arg: &FieldArg) -> Option<(usize, &'static Param)> {
        let found = match arg.index {
            Some(index) => {
                let index = usize::try_from(index).ok()?;
                (index, self.row.params.get(index).filter(|p| !p.extension)?)
            }
            None => self.row.param(&arg.text)?,
        };
        Some(found).filter(|(index, _)| *index < self.event.param_count())
    }

    /// What a parameter's value stands for; `None` where the plain text says it all.
    fn meaning(&self, param: &Param, bytes: &[u8]) -> Option<Vec<u8>> {
        use ParamType as T;
        if bytes.is_empty() {
            return None;
        }
        let (param, bytes) = param::concrete(param, bytes);
        match param.ty {
            T::Fspath | T::Fsrelpath => return self.full_path(&param, param::text(bytes)),
            T::Fd | T::Fd32 | T::Pid | T::Pid32 | T::Errno => {}
            _ => return plain_meaning(&param, param::number(param.ty, bytes)?, self),
        }
        let number = param::number(param.ty, bytes)?.signed();
        match param.ty {
            T::Pid | T::Pid32 => self.process_name(number),
            T::Fd | T::Fd32 if number >= 0 => self.fd_name(number),
            T::Fd | T::Fd32 if number == AT_FDCWD => Some(b"AT_FDCWD".to_vec()),
            _ => errno_name(number).map(Into::into),
        }
    }

    fn full_path(&self, param: &Param, path: &[u8]) -> Option<Vec<u8>> {
        if path.is_empty() || path.starts_with(b"/") || path == b"<NA>" {
            return None;
        }
        let start = self.start(param)?;
        Some(self.join(&start, path).into_owned())
    }

    /// What a parameter's relative path starts from, ending in a slash; empty if its descriptor is not known.
    fn start(&self, param: &Param) -> Option<Cow<'_, [u8]>> {
        if let Some(told) = self.told_base(param.name) {
            return Some(told);
        }
        let dirfd = match param.link {
            Link::Dirfd(index) => self.fd_param(index.into())?,
            _ => AT_FDCWD,
        };
        self.process()?;
        let known = dirfd == AT_FDCWD || self.descriptor(dirfd).is_some();
        Some(if known { self.base(dirfd) } else { Cow::Borrowed(&b""[..]) })
    }

    /// The path of a parameter from the root on, with all the dots that it was given with.
    pub fn path_as_given(&self, index: usize) -> Option<Vec<u8>> {
        let (param, path) = (self.row.params.get(index)?, param::text(self.event.param(index)?));
        let start = if path.starts_with(b"/") { Cow::Borrowed(&b""[..]) } else { self.start(param)? };
        let whole = [&start, path].concat();
        (!path.is_empty() && whole.starts_with(b"/")).then_some(whole)
    }

    /// Of threads a table of processes knows but the one that made the event.
    fn process_name(&self, tid: i64) -> Option<Vec<u8>> {
        let own = || self.process().filter(|_| tid == self.event.tid);
        Some(self.processes.by_tid(tid).or_else(own)?.comm.to_vec())
    }

    /// `<f>/etc/passwd`, `<4t>1.2.3.4:5->6.7.8.9:10`.
    fn fd_name(&self, number: i64) -> Option<Vec<u8>> {
        if let Some(known) = self.descriptor(number) {
            return Some(shown_fd(known.kind, known.shown_protocol(), &known.name));
        }
        // The first of a pair is what the second is.
        let first = self.number("fd1").map(u64::cast_signed);
        let is_it = |fd: &&Fd| fd.num == number || [self.fd_used(), first].contains(&Some(number));
        if let Some(fd) = self.fd().filter(is_it) {
            return Some(shown_fd(fd.kind?, fd.protocol, fd.name.as_deref().unwrap_or_default()));
        }
        Some(shown_fd(FdType::Directory, Protocol::Unknown, self.told_behind(number)?))
    }

    /// The directory behind a descriptor, if a relative path of the call starts from it.
    fn told_behind(&self, number: i64) -> Option<&[u8]> {
        let starts = |param: &&Param| {
            let Link::Dirfd(index) = param.link else { return false };
            self.fd_param(index.into()) == Some(number)
        };
        self.told_directory(self.row.params.iter().find(starts)?.name)
    }

    /// The descriptor that a call uses; another than it makes.
    fn fd_used(&self) -> Option<i64> {
        self.fd_param(self.row.fd_param?.into())
    }

    fn fd_param(&self, index: usize) -> Option<i64> {
        Some(param::number(self.row.params.get(index)?.ty, self.event.param(index)?)?.signed())
    }

    /// A parameter's text by its position: its meaning, else the plain text.
    pub fn param_text(&self, index: usize) -> Vec<u8> {
        let Some(param) = self.row.params.get(index) else { return Vec::new() };
        let bytes = self.event.param(index).unwrap_or_default();
        self.meaning(param, bytes).filter(|text| !text.is_empty()).unwrap_or_else(|| self.plain(param, bytes))
    }

    /// A parameter's value without what it stands for; of lists of descriptors with their types.
    fn plain(&self, param: &Param, bytes: &[u8]) -> Vec<u8> {
        let Some(polled) = self.polled().filter(|_| param.ty == ParamType::Fdlist) else {
            return raw(param, bytes);
        };
        let shown =
            polled.map(|(fd, flags)| format!("{}:{}{flags:x}", fd.num, fd.kind.map_or("?", FdType::char)));
        shown.collect::<Vec<_>>().join(" ").into_bytes()
    }
}

/// The name of a negative result.
pub(crate) fn errno_name(result: i64) -> Option<&'static str> {
    let errno = result.checked_neg().and_then(|n| u64::try_from(n).ok())?;
    ERRNO.iter().find(|s| s.value == errno).map(|s| s.name)
}

/// A text that means what it says.
fn own_text<'a>(param: &Param, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (param, bytes) = param::concrete(param, bytes);
    let text = param::text(bytes);
    let own = match param.ty {
        ParamType::Charbuf => !text.is_empty(),
        ParamType::Fspath | ParamType::Fsrelpath => text.starts_with(b"/"),
        _ => false,
    };
    own.then_some(text)
}

fn shown_fd(kind: FdType, protocol: Protocol, name: &[u8]) -> Vec<u8> {
    let protocol = match protocol {
        Protocol::Unknown => "",
        known => known.name().get(..1).unwrap_or_default(),
    };
    [format!("<{}{protocol}>", kind.char()).as_bytes(), name].concat()
}

fn raw(param: &Param, bytes: &[u8]) -> Vec<u8> {
    let mut out = spare::text();
    param::raw(param, bytes, &mut out);
    out
}

/// Meanings that need nothing but the number and the name tables.
fn plain_meaning(param: &Param, number: Number, record: &SyscallRecord) -> Option<Vec<u8>> {
    use ParamType as T;
    let bits = number.bits();
    match param.ty {
        T::Flags8 | T::Flags16 | T::Flags32 => return Some(flag_names(param.symbols(), bits, false)),
        T::Mode => return Some(flag_names(param.symbols(), bits, true)),
        _ => {}
    }
    let id = u32::try_from(bits).unwrap_or(u32::MAX);
    let text = match param.ty {
        T::Uid | T::Gid if id == u32::MAX => "<NONE>".to_owned(),
        T::Uid => record.users.user_name(id).to_owned(),
        T::Gid => record.users.group_name(id).to_owned(),
        T::Sigtype => SIGNAL.iter().find(|s| s.value == bits)?.name.to_owned(),
        T::Reltime if bits == u64::MAX => return None,
        T::Reltime => param::seconds(bits),
        T::Syscallid if bits == 0 => "unknown".to_owned(),
        T::Syscallid => table::syscall(u16::try_from(bits).ok()?)?.name.to_owned(),
        T::Enumflags8 | T::Enumflags16 | T::Enumflags32 => {
            let same = param.symbols().iter().filter(|s| s.value == bits);
            same.map(|s| s.name).collect::<Vec<_>>().join("|")
        }
        _ => return None,
    };
    Some(text.into())
}

/// Names of the set bits in the order of the table; a symbol that equals the whole value ends the walk.
/// Bits that no symbol names are left out.
fn flag_names(symbols: &[Symbol], value: u64, mode: bool) -> Vec<u8> {
    let mut left = value;
    let mut names = spare::text();
    for symbol in symbols {
        let whole = symbol.value == value;
        let zero = symbol.value == 0 && value == 0;
        let bits = symbol.value != 0 && left != 0 && left & symbol.value == symbol.value;
        if zero || bits || (mode && whole) {
            if !names.is_empty() {
                names.push(b'|');
            }
            names.extend_from_slice(symbol.name.as_bytes());
            left &= !symbol.value;
        }
        if whole {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{CHMOD_MODE, FILE_FLAGS};

    #[test]
    fn flags_by_name() {
        assert_eq!(flag_names(FILE_FLAGS, 1, false), b"O_RDONLY");
        assert_eq!(flag_names(FILE_FLAGS, 4097, false), b"O_RDONLY|O_CLOEXEC");
        assert_eq!(flag_names(FILE_FLAGS, 3, false), b"O_RDWR");
        assert_eq!(flag_names(FILE_FLAGS, 0, false), b"O_NONE");
        let names = "O_DIRECTORY|O_NONBLOCK|O_RDONLY|O_CLOEXEC|O_TMPFILE";
        assert_eq!(flag_names(FILE_FLAGS, 13377, false), names.as_bytes());
        assert_eq!(flag_names(CHMOD_MODE, 0o700, true), b"S_IXUSR|S_IWUSR|S_IRUSR");
    }
}
