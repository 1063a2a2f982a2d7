//! Users and groups that come and go (scap-format.md §6): of the host, and of each container.

use saker_events::users::{User, Users};

use super::ThreadTable;
use crate::params::Params;

/// Containers of which users are kept at most.
const MAX_CONTAINERS: usize = 4096;

/// `useradded`.
pub(super) fn added(table: &mut ThreadTable, params: Params) {
    let text = |name| String::from_utf8_lossy(params.text(name)).into_owned();
    let user = User { name: text("name"), home: text("home"), shell: text("shell") };
    if let (Some(uid), Some(users)) = (params.word("uid"), users(table, params)) {
        users.add_user(uid, user);
    }
}

/// `userdeleted`.
pub(super) fn deleted(table: &mut ThreadTable, params: Params) {
    if let (Some(uid), Some(users)) = (params.word("uid"), users(table, params)) {
        users.remove_user(uid);
    }
}

/// `groupadded`.
pub(super) fn group_added(table: &mut ThreadTable, params: Params) {
    let name = String::from_utf8_lossy(params.text("name")).into_owned();
    if let (Some(gid), Some(users)) = (params.word("gid"), users(table, params)) {
        users.add_group(gid, name);
    }
}

/// `groupdeleted`.
pub(super) fn group_deleted(table: &mut ThreadTable, params: Params) {
    if let (Some(gid), Some(users)) = (params.word("gid"), users(table, params)) {
        users.remove_group(gid);
    }
}

/// The users that an event is about.
fn users<'a>(table: &'a mut ThreadTable, params: Params) -> Option<&'a mut Users> {
    table.note_change();
    let container = String::from_utf8_lossy(params.text("container_id")).into_owned();
    if container.is_empty() {
        return Some(&mut table.users);
    }
    let known = table.users_of_containers.contains_key(&container);
    if !known && table.users_of_containers.len() >= MAX_CONTAINERS {
        return None;
    }
    Some(table.users_of_containers.entry(container).or_default())
}
