//! Paths of calls, made absolute: `fs.path.*` and `evt.abspath`.

use std::borrow::Cow;

use saker_rules::{schema::FieldArg, value::Value};

use crate::{
    fd::{Role, UNKNOWN, path_param, text_of},
    record::SyscallRecord,
    table::event_flags,
};

impl<'a> SyscallRecord<'a> {
    /// One of `fs.path.*`, made absolute. Only calls that succeeded have these, but for failed opens.
    pub fn fs_path(&self, role: Role) -> Option<Value<'_>> {
        let raw = self.fs_path_text(role)?;
        let opens = self.open_flags().is_some();
        let known = self.fd().filter(|fd| fd.kind.is_some()).and_then(|fd| fd.name.as_deref());
        match known {
            Some(name) if opens => return Some(Value::text(name)),
            _ if raw.starts_with(b"/") => return Some(Value::text(raw)),
            _ if opens => return Some(Value::text(UNKNOWN)),
            _ => {}
        }
        // Without being told, upstream takes the event's descriptor for the base, also where that stands for the
        // working directory.
        let told = path_param(self.row.name, role).and_then(|name| self.told_base(name));
        let base = match (told, known) {
            (Some(told), _) => told,
            (None, Some(directory)) => Cow::Owned([directory, b"/"].concat()),
            (None, None) if self.row.any(event_flags::USES_FD) => Cow::Borrowed(UNKNOWN),
            (None, None) => Cow::Borrowed(self.cwd()),
        };
        Some(Value::Text(self.join(&base, raw)))
    }

    /// One of `fs.path.*raw`.
    pub fn fs_path_raw(&self, role: Role) -> Option<Value<'_>> {
        self.fs_path_text(role).map(Value::text)
    }

    fn fs_path_text(&self, role: Role) -> Option<&'a [u8]> {
        let name = path_param(self.row.name, role).filter(|_| !self.row.enter)?;
        let worked = self.open_flags().is_some() || self.result() == Some(0);
        Some(text_of(&self.event, self.row, name)).filter(|path| worked && !path.is_empty())
    }

    /// `evt.abspath`: of calls with two paths the first, or the second for `dst`.
    pub fn abspath(&self, arg: Option<&FieldArg>) -> Option<Value<'_>> {
        const ONE: [(&str, &str); 5] = [
            ("dirfd", "name"),
            ("dirfd", "path"),
            ("dirfd", "filename"),
            ("dirfd", "pathname"),
            ("linkdirfd", "linkpath"),
        ];
        let two = if arg.is_some_and(|arg| arg.text == "dst") {
            [("newdirfd", "newpath"), ("newdir", "newpath")]
        } else {
            [("olddirfd", "oldpath"), ("olddir", "oldpath")]
        };
        let has = |(dirfd, name): &&(&str, &str)| self.row.param(dirfd).and(self.row.param(name)).is_some();
        let (dirfd, name) = ONE.iter().chain(&two).find(has)?;
        let path = text_of(&self.event, self.row, name);
        let base = match self.told_base(name) {
            Some(told) => told,
            None => self.base(self.number(dirfd)?.cast_signed()),
        };
        Some(Value::Text(self.join(&base, path)))
    }
}
