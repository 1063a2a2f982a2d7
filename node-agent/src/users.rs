//! Names of users and groups, followed while the agent runs.

use std::{fs, time::SystemTime};

use saker_events::users::Users;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The machine's files of users and groups.
#[derive(Default)]
pub struct UserFiles {
    seen: Option<[Option<SystemTime>; 2]>,
}

impl UserFiles {
    /// The names, if the files are others than the last time.
    pub fn changed(&mut self) -> Option<Users> {
        let now = Some([PASSWD, GROUP].map(|path| fs::metadata(path).and_then(|m| m.modified()).ok()));
        if now == self.seen {
            return None;
        }
        self.seen = now;
        let read = |path| {
            fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        };
        Some(Users::parse(&read(PASSWD), &read(GROUP)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_once_while_they_stay_the_same() {
        let mut files = UserFiles::default();
        assert_eq!(files.changed().map(|users| users.user_name(0).to_owned()).as_deref(), Some("root"));
        assert!(files.changed().is_none());
    }
}
