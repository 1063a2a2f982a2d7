//! Carrying a plan out, and taking it back.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::{
    Plan, SetupError,
    plan::{PlannedFile, place, read},
};

/// Where the original of a changed file is kept: never beside it, kubelet would start it, too.
const BACKUPS: &str = "/var/lib/saker/audit-setup";

impl Plan {
    /// Writes the files. A static pod is changed last, in one step; if `ready` then says no, it gets its original back.
    pub fn apply(&self, root: &Path, ready: &mut dyn FnMut() -> bool) -> Result<(), SetupError> {
        for file in &self.files {
            keep(root, file)?;
            write(root, &file.path, &file.content, file.secret)?;
        }
        match self.manifest() {
            Some(PlannedFile { path, original: Some(original), .. }) if !ready() => {
                write(root, path, original, false)?;
                Err(SetupError::NotReady)
            }
            _ => Ok(()),
        }
    }

    /// Removes the files and puts originals back; a changed file that was changed again is left alone.
    pub fn undo(&self, root: &Path) -> Result<(), SetupError> {
        // The API server must lose its flags before it loses the files.
        for file in self.files.iter().rev() {
            match &file.original {
                None => remove(root, &file.path)?,
                Some(_) => restore(root, &file.path)?,
            }
        }
        // Other files in it are not ours.
        let _ = fs::remove_dir(place(root, self.distribution.folder()));
        Ok(())
    }

    /// The files that are not on the machine as planned.
    pub fn missing(&self, root: &Path) -> Vec<&PlannedFile> {
        let same = |file: &PlannedFile| read(root, &file.path).is_ok_and(|text| text == file.content);
        self.files.iter().filter(|file| !same(file)).collect()
    }
}

/// Where the original of a file is kept, and a copy of what it was changed to.
fn backups(path: &str) -> [String; 2] {
    let name = path.trim_start_matches('/').replace('/', "_");
    ["original", "changed"].map(|kind| format!("{BACKUPS}/{name}.{kind}"))
}

/// Keeps the original of a file that is to be changed for the first time.
fn keep(root: &Path, file: &PlannedFile) -> Result<(), SetupError> {
    let Some(text) = file.original.as_ref().filter(|original| **original != file.content) else {
        return Ok(());
    };
    let [original, changed] = backups(&file.path);
    write(root, &original, text, true)?;
    write(root, &changed, &file.content, true)
}

/// The file as it was before.
fn restore(root: &Path, path: &str) -> Result<(), SetupError> {
    let [original, changed] = backups(path);
    if !place(root, &original).exists() {
        return Ok(());
    }
    let (now, before) = (read(root, path)?, read(root, &original)?);
    if now != before && now != read(root, &changed)? {
        return Err(SetupError::Changed(place(root, path), place(root, &original)));
    }
    write(root, path, &before, false)?;
    remove(root, &original)?;
    remove(root, &changed)
}

/// Writes a file whole or not at all, by way of a hidden one beside it, which kubelet and k3s do not read.
fn write(root: &Path, path: &str, content: &str, secret: bool) -> Result<(), SetupError> {
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

fn remove(root: &Path, path: &str) -> Result<(), SetupError> {
    let target = place(root, path);
    match fs::remove_file(&target) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(SetupError::Io("remove", target, error)),
        _ => Ok(()),
    }
}
