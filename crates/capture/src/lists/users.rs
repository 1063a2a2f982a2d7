//! Users and groups of the recorded machine.

use crate::{cursor::Cursor, lists::entries, out::Out};

/// Both lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserList {
    /// In the order of the file.
    pub users: Vec<User>,
    /// In the order of the file.
    pub groups: Vec<Group>,
}

/// A user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of passwd(5)")]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub name: Vec<u8>,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

/// A group of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of group(5)")]
pub struct Group {
    pub gid: u32,
    pub name: Vec<u8>,
}

impl User {
    fn write(&self, out: &mut Out) {
        out.u8(USER);
        out.u32(self.uid);
        out.u32(self.gid);
        for text in [&self.name, &self.home, &self.shell] {
            out.text(text, MAX_TEXT);
        }
    }
}

impl Group {
    fn write(&self, out: &mut Out) {
        out.u8(GROUP);
        out.u32(self.gid);
        out.text(&self.name, MAX_TEXT);
    }
}

/// Longer names are refused by other readers.
const MAX_TEXT: u16 = 255;
const USER: u8 = 0;
const GROUP: u8 = 1;

impl UserList {
    /// Reads either version of the list.
    pub(crate) fn read(body: Cursor, version: u8) -> Option<Self> {
        let mut list = Self::default();
        entries(body, |body| if version == 1 { list.add(body) } else { list.add(&mut body.entry(true)?) })?;
        Some(list)
    }

    /// Writes the second version.
    pub(crate) fn write(&self, out: &mut Out) {
        for user in &self.users {
            out.entry(true, |out| user.write(out));
        }
        for group in &self.groups {
            out.entry(true, |out| group.write(out));
        }
    }

    fn add(&mut self, entry: &mut Cursor) -> Option<()> {
        match entry.u8()? {
            USER => self.users.push(User {
                uid: entry.u32()?,
                gid: entry.u32()?,
                name: entry.text()?,
                home: entry.text()?,
                shell: entry.text()?,
            }),
            GROUP => self.groups.push(Group { gid: entry.u32()?, name: entry.text()? }),
            _ => return None,
        }
        Some(())
    }
}
