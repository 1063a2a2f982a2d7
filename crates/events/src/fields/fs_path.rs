//! `fs.path.*`: the paths that a system call works on.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("fs.path.name", CharBuf, SYSCALL, S(|r, _| r.fs_path(Role::Name)), "The path it works on, made absolute"),
    row("fs.path.nameraw", CharBuf, SYSCALL, S(|r, _| r.fs_path_raw(Role::Name)), "The path it works on, as given"),
    row("fs.path.source", CharBuf, SYSCALL, S(|r, _| r.fs_path(Role::Source)), "The path it reads, moves or links, made absolute"),
    row("fs.path.sourceraw", CharBuf, SYSCALL, S(|r, _| r.fs_path_raw(Role::Source)), "The path it reads, moves or links, as given"),
    row("fs.path.target", CharBuf, SYSCALL, S(|r, _| r.fs_path(Role::Target)), "The path it makes, made absolute"),
    row("fs.path.targetraw", CharBuf, SYSCALL, S(|r, _| r.fs_path_raw(Role::Target)), "The path it makes, as given"),
];
