//! Opens of a capture that no rule can match: the filter of live opens, asked before the rules.

use saker_events::{
    descriptor::FdType,
    fd::{Fd, text_of},
    record::SyscallRecord,
    table::code,
};

use crate::prefilter::{Open, PathTable};

/// Whether the table rules out that any rule matches; only ever where the path is what the call gave, as one view of
/// it is all that rules see then.
pub(crate) fn rejects(table: &PathTable, record: &SyscallRecord) -> bool {
    let Some(fd) = record.fd().filter(|fd| fd.is_as_given()) else { return false };
    let (Some(open), Some(path)) = (kind(record, fd), fd.name.as_deref()) else { return false };
    let resolved = record.resolved_path().unwrap_or(path);
    let same = [resolved, text_of(&record.event, record.row, "name")].iter().all(|text| *text == path);
    same && path.starts_with(b"/") && !table.passes(open, path)
}

fn kind(record: &SyscallRecord, fd: &Fd) -> Option<Open> {
    let (read, write) = match record.event.code {
        code::SYSCALL_CREAT_X => (false, true),
        code::SYSCALL_OPEN_X | code::SYSCALL_OPENAT_2_X | code::SYSCALL_OPENAT2_X => {
            (record.opens_to_read(), record.opens_to_write())
        }
        _ => return None,
    };
    let success = record.result()? >= 0;
    let as_told = if success { fd.num >= 0 && fd.kind?.is_file() } else { fd.num == -1 && fd.kind.is_none() };
    let directory = success && fd.kind == Some(FdType::Directory);
    as_told.then_some(Open { read, write, directory, success })
}
