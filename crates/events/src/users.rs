//! Names of users and groups, as the agent read them from `/etc/passwd` and `/etc/group`.

use std::collections::HashMap;

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Users and groups kept at most, each; further lines are counted in [`Users::left_out`].
pub const MAX_ENTRIES: usize = 65_536;

/// Names by number.
#[derive(Debug, Clone, Default)]
pub struct Users {
    by_uid: FxHashMap<u32, User>,
    groups: FxHashMap<u32, String>,
    left_out: u64,
}

/// Nobody known.
pub static NOBODY: Users = Users {
    by_uid: HashMap::with_hasher(FxBuildHasher),
    groups: HashMap::with_hasher(FxBuildHasher),
    left_out: 0,
};

/// One line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

impl Users {
    /// Adds a user or replaces one.
    pub fn add_user(&mut self, uid: u32, user: User) {
        if self.by_uid.len() < MAX_ENTRIES || self.by_uid.contains_key(&uid) {
            self.by_uid.insert(uid, user);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Forgets a user.
    pub fn remove_user(&mut self, uid: u32) {
        self.by_uid.remove(&uid);
    }

    /// Adds a group or replaces one.
    pub fn add_group(&mut self, gid: u32, name: String) {
        if self.groups.len() < MAX_ENTRIES || self.groups.contains_key(&gid) {
            self.groups.insert(gid, name);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Forgets a group.
    pub fn remove_group(&mut self, gid: u32) {
        self.groups.remove(&gid);
    }

    /// Reads the texts of `/etc/passwd` and `/etc/group`. Lines that are none are passed over; of several
    /// lines with one number the first counts, as in the C library.
    pub fn parse(passwd: &str, group: &str) -> Self {
        let mut all = Self::default();
        for (uid, user) in passwd.lines().filter_map(user) {
            if all.by_uid.len() < MAX_ENTRIES {
                all.by_uid.entry(uid).or_insert(user);
            } else {
                all.left_out = all.left_out.saturating_add(1);
            }
        }
        for (gid, name) in group.lines().filter_map(group_name) {
            if all.groups.len() < MAX_ENTRIES {
                all.groups.entry(gid).or_insert(name);
            } else {
                all.left_out = all.left_out.saturating_add(1);
            }
        }
        all
    }

    /// The user of this number.
    pub fn user(&self, uid: u32) -> Option<&User> {
        self.by_uid.get(&uid)
    }

    /// The user's name; `root` for 0 and `<NA>` for others that are unknown (scap-format.md §8).
    pub fn user_name(&self, uid: u32) -> &str {
        self.user(uid).map_or_else(|| fallback(uid), |u| &u.name)
    }

    /// The group's name, with the same stand-ins.
    pub fn group_name(&self, gid: u32) -> &str {
        self.groups.get(&gid).map_or_else(|| fallback(gid), String::as_str)
    }

    /// Lines beyond [`MAX_ENTRIES`].
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

fn fallback(id: u32) -> &'static str {
    if id == 0 { "root" } else { "<NA>" }
}

/// `name:x:uid:gid:comment:home:shell`.
fn user(line: &str) -> Option<(u32, User)> {
    let mut cells = line.split(':');
    let name = cells.next()?.to_owned();
    let uid = cells.nth(1)?.parse().ok()?;
    let home = cells.nth(2)?.to_owned();
    let shell = cells.next().unwrap_or_default().to_owned();
    Some((uid, User { name, home, shell }))
}

/// `name:x:gid:members`.
fn group_name(line: &str) -> Option<(u32, String)> {
    let mut cells = line.split(':');
    let name = cells.next()?.to_owned();
    Some((cells.nth(1)?.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_number() {
        let users = Users::parse(
            "root:x:0:0:root:/root:/bin/bash\nbad line\nalice:x:1000:1000::/home/alice:/bin/zsh\nbob:x:1000:1:::\n",
            "wheel:x:10:alice,bob\n",
        );
        assert_eq!(users.user_name(1000), "alice");
        assert_eq!(users.user(0).map(|u| u.shell.as_str()), Some("/bin/bash"));
        assert_eq!(users.user_name(7), "<NA>");
        assert_eq!(users.group_name(10), "wheel");
        assert_eq!(users.group_name(0), "root");
        assert_eq!(users.left_out(), 0);
    }
}
