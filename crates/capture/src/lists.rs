//! What was there when the capture began, one module per list (scap-format.md §2).

pub(crate) mod fds;
pub(crate) mod interfaces;
pub(crate) mod machine;
pub(crate) mod processes;
pub(crate) mod users;

use crate::cursor::Cursor;

/// The entries of a list; `None` if one is cut off or longer than announced.
fn entries<'a, T>(
    mut body: Cursor<'a>,
    mut entry: impl FnMut(&mut Cursor<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut list = Vec::new();
    while body.has_entry() {
        list.push(entry(&mut body)?);
    }
    Some(list)
}
