//! What a call that opens a file tells, all at once: every second event of a busy machine is one.

use crate::{
    Event,
    descriptor::Layer,
    fd::{AT_FDCWD, layer},
    param::{int, long, word},
    table::code,
};

/// The parameters of `open` and its like.
pub struct OpenCall<'a> {
    /// The result.
    pub fd: Option<i64>,
    /// What a relative path starts from; `None` if the event lacks it, or has a handle in its place.
    pub dirfd: Option<i64>,
    /// The bytes of the path.
    pub name: &'a [u8],
    /// Bits of `file_flags`; none of `creat`, whose flags are known.
    pub flags: u64,
    /// Device of the file; 0 if unknown.
    pub dev: u32,
    /// Its inode; 0 if unknown.
    pub ino: u64,
    /// The layer of an overlay that holds it.
    pub layer: Option<Layer>,
}

impl<'a> OpenCall<'a> {
    /// Reads an event of a call that opens a file.
    pub fn of(event: &Event<'a>) -> Self {
        let params: [&[u8]; 8] = event.leading();
        let cwd = Some(AT_FDCWD);
        let (dirfd, name, flags, dev, ino) = match (event.code, params) {
            (code::SYSCALL_OPENAT_2_X, [_, dirfd, name, flags, _, dev, ino, _])
            | (code::SYSCALL_OPENAT2_X, [_, dirfd, name, flags, _, _, dev, ino]) => {
                (int(dirfd), name, word(flags), dev, ino)
            }
            (code::SYSCALL_OPEN_BY_HANDLE_AT_X, [_, _, flags, name, dev, ino, ..]) => {
                (None, name, word(flags), dev, ino)
            }
            (code::SYSCALL_CREAT_X, [_, name, _, dev, ino, flags, ..]) => (cwd, name, short(flags), dev, ino),
            (_, [_, name, flags, _, dev, ino, ..]) => (cwd, name, word(flags), dev, ino),
        };
        let told = flags.unwrap_or(0);
        Self {
            fd: int(params[0]),
            dirfd,
            name,
            flags: if event.code == code::SYSCALL_CREAT_X { 0 } else { told.into() },
            dev: word(dev).unwrap_or(0),
            ino: long(ino).unwrap_or(0),
            layer: layer(event.code, told.into()),
        }
    }
}

/// The flags of `creat`.
fn short(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u16::from_le_bytes).map(u32::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fd::{number_of, text_of},
        param,
        table::EVENTS,
        write,
    };

    #[test]
    fn parameters_stand_where_the_table_has_them() {
        let opens = [
            code::SYSCALL_OPEN_X,
            code::SYSCALL_CREAT_X,
            code::SYSCALL_OPENAT_2_X,
            code::SYSCALL_OPENAT2_X,
            code::SYSCALL_OPEN_BY_HANDLE_AT_X,
        ];
        for row in EVENTS.iter().filter(|row| opens.contains(&row.code)) {
            let path = if row.param("path").is_some() { "path" } else { "name" };
            let told = json!({
                "fd": 3, "dirfd": 4, path: "/x", "flags": 1025, "creat_flags": 1, "mode": 6, "resolve": 7,
                "mountfd": 8, "dev": 9, "ino": 10,
            });
            let told = told.as_object().unwrap().iter().filter(|(name, _)| row.param(name).is_some());
            let params = told.map(|(name, value)| (name.clone(), value.clone())).collect();
            let bytes = write::event(1, 7, row.code, &write::params(row, &params).unwrap());
            let event = Event::parse(&bytes).unwrap();
            let call = OpenCall::of(&event);
            let number = |name| number_of(&event, row, name);
            assert_eq!(call.fd, number("fd").map(u64::cast_signed), "{}", row.name);
            let dirfd = number("dirfd").map_or(AT_FDCWD, u64::cast_signed);
            assert_eq!(call.dirfd.unwrap_or(AT_FDCWD), dirfd, "{}", row.name);
            assert_eq!(param::text(call.name), text_of(&event, row, path), "{}", row.name);
            assert_eq!(call.flags, number("flags").unwrap_or(0), "{}", row.name);
            assert_eq!((u64::from(call.dev), call.ino), (number("dev").unwrap(), number("ino").unwrap()));
            assert_eq!(call.layer.is_some(), row.code == code::SYSCALL_CREAT_X);
        }
    }
}
