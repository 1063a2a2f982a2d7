//! Files of a machine, whose root may be elsewhere.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::SetupError;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its path on the machine.
    pub path: String,
    /// Its text.
    pub content: String,
    /// What it was, if it is changed and not made.
    pub original: Option<String>,
    /// Whether only root may read it.
    pub secret: bool,
}

pub(crate) const fn file(path: String, content: String, secret: bool) -> PlannedFile {
    PlannedFile { path, content, original: None, secret }
}

/// A file of the machine whose files lie below `root`.
pub(crate) fn read(root: &Path, path: &str) -> Result<String, SetupError> {
    let place = place(root, path);
    fs::read_to_string(&place).map_err(|error| SetupError::Io("read", place, error))
}

/// Where a path of the machine is below `root`.
pub(crate) fn place(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Whether a file is as planned.
pub(crate) fn is_there(root: &Path, file: &PlannedFile) -> bool {
    read(root, &file.path).is_ok_and(|text| text == file.content)
}

/// Writes a file whole or not at all, by way of a hidden one beside it, which kubelet and k3s do not read.
pub(crate) fn write(root: &Path, path: &str, content: &str, secret: bool) -> Result<(), SetupError> {
    let target = place(root, path);
    let folder = target.parent().unwrap_or(root);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let hidden = folder.join(format!(".{name}.saker"));
    let mode = if secret { 0o600 } else { 0o644 };
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&hidden)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&hidden, &target)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(|error| SetupError::Io("write", target, error))
}

pub(crate) fn remove(root: &Path, path: &str) -> Result<(), SetupError> {
    let target = place(root, path);
    match fs::remove_file(&target) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(SetupError::Io("remove", target, error)),
        _ => Ok(()),
    }
}
