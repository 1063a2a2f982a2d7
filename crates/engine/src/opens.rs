//! Opens of a capture that no rule can match: the filter of live opens, asked before the rules.

use std::{borrow::Cow, sync::Arc};

use saker_events::{
    Event,
    descriptor::{Descriptor, FdType},
    fd::{O_RDONLY, O_WRONLY, resolved_path},
    open_call::OpenCall,
    param, path,
    process::Processes,
    table::{EventRow, code},
};

use crate::{
    prefilter::{Open, PathTable},
    recent::Recent,
    thread_table::ThreadTable,
};

/// Paths of which is remembered what the filter found: who walks through folders opens thousands, again and again.
const MAX_KNOWN: usize = 16_384;

/// The filter, and what it found out about the paths that came lately.
#[derive(Debug)]
pub(crate) struct Opens {
    table: PathTable,
    /// Their terms; of paths that are shown otherwise than given there are none.
    known: Recent<Option<u64>, MAX_KNOWN>,
}

impl Opens {
    pub(crate) fn new(table: PathTable) -> Self {
        Self { table, known: Recent::default() }
    }

    /// Whether the filter rules out that any rule matches the event, of which the threads took note; only ever where
    /// the path is what the call gave, as one view of it is all that rules see then.
    pub(crate) fn rejects(&mut self, event: &Event, threads: &ThreadTable) -> bool {
        let known = |code| {
            matches!(
                code,
                code::SYSCALL_OPEN_X
                    | code::SYSCALL_CREAT_X
                    | code::SYSCALL_OPENAT_2_X
                    | code::SYSCALL_OPENAT2_X
            )
        };
        let Some(row) = EventRow::of(event.code).filter(|row| known(row.code)) else { return false };
        let call = OpenCall::of(event);
        let given = param::told(call.name);
        let Some(open) = kind(row, &call, given, threads) else { return false };
        let same = resolved_path(event, row).is_none_or(|resolved| resolved == given);
        same && self.terms(given).is_some_and(|terms| !self.table.may_match(open, terms))
    }

    /// What the table says of a path; `None` if it is not absolute or shown otherwise.
    fn terms(&mut self, path: &[u8]) -> Option<u64> {
        let Self { table, known } = self;
        let find = || as_given(path).then(|| table.terms(path));
        match known.place(path) {
            Some(known) => *known.get_or_insert_with(find),
            None => find(),
        }
    }
}

fn as_given(given: &[u8]) -> bool {
    given.starts_with(b"/") && matches!(path::join(b"", given), Cow::Borrowed(shown) if shown == given)
}

/// The kind of an open that rules see as it is told.
fn kind(row: &EventRow, call: &OpenCall, given: &[u8], threads: &ThreadTable) -> Option<Open> {
    let number = threads.used_descriptor()?.number;
    let file = threads.current().and_then(|process| threads.descriptor(process, number));
    let success = call.fd? >= 0;
    let as_told = match file {
        Some(file) => success && number >= 0 && file.kind.is_file() && is_named(file, given),
        // Without a directory the event has no path, even if it is absolute.
        None => !success && number == -1 && call.dirfd.is_some(),
    };
    let directory = file.is_some_and(|file| file.kind == FdType::Directory);
    let creat = row.code == code::SYSCALL_CREAT_X;
    let (read, write) = (call.flags & O_RDONLY != 0, creat || call.flags & O_WRONLY != 0);
    as_told.then_some(Open { read, write, directory, success })
}

fn is_named(file: &Descriptor, given: &[u8]) -> bool {
    *file.name == *given && (Arc::ptr_eq(&file.name, &file.raw) || *file.raw == *given)
}
