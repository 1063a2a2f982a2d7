//! `util.*`: counters for tests.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("util.cnt", Uint64, SYSCALL, NONE, "A number that grows each time it is read").flags(HIDDEN),
];
