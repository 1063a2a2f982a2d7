//! Carrying a plan out, and taking it back.

use std::{fs, path::Path};

use crate::{
    Plan, SetupError,
    files::{PlannedFile, is_there, place, read, remove, write},
};

/// Where the original of a changed file is kept: never beside it, kubelet would start it, too.
const BACKUPS: &str = "/var/lib/saker/audit-setup";

impl Plan {
    /// Writes the files. A static pod is changed last, in one step; if `ready` then says no, every file is again what it
    /// was before.
    pub fn apply(&self, root: &Path, ready: &mut dyn FnMut() -> bool) -> Result<(), SetupError> {
        let before: Vec<_> = self.files.iter().map(|file| before(root, file)).collect();
        for file in &self.files {
            keep(root, file)?;
            // A file that is newer than the API server looks as if that had not read it.
            if !is_there(root, file) {
                write(root, &file.path, &file.content, file.secret)?;
            }
        }
        if ready() {
            return Ok(());
        }
        for (file, before) in self.files.iter().zip(before) {
            revert(root, file, before)?;
        }
        Err(SetupError::NotReady)
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
        self.files.iter().filter(|file| !is_there(root, file)).collect()
    }
}

/// Where the original of a file is kept, and a copy of what it was changed to.
fn backups(path: &str) -> [String; 2] {
    let name = path.trim_start_matches('/').replace('/', "_");
    ["original", "changed"].map(|kind| format!("{BACKUPS}/{name}.{kind}"))
}

/// Keeps the original of a file that is to be changed. What we changed ourselves before is no original.
fn keep(root: &Path, file: &PlannedFile) -> Result<(), SetupError> {
    let Some(text) = file.original.as_ref().filter(|original| **original != file.content) else {
        return Ok(());
    };
    let [original, changed] = backups(&file.path);
    if !read(root, &changed).is_ok_and(|ours| ours == *text) {
        write(root, &original, text, true)?;
    }
    write(root, &changed, &file.content, true)
}

/// What a file goes back to. One that is as planned already was written by a run that did not come to its end.
fn before(root: &Path, file: &PlannedFile) -> Option<String> {
    let now = read(root, &file.path).ok()?;
    let [original, _] = backups(&file.path);
    let unfinished = file.original.is_some() && now == file.content;
    Some(unfinished.then(|| read(root, &original).ok()).flatten().unwrap_or(now))
}

/// The file as it was before it was written, which may have been ours already.
fn revert(root: &Path, file: &PlannedFile, before: Option<String>) -> Result<(), SetupError> {
    let Some(text) = before else { return remove(root, &file.path) };
    if file.original.is_some() {
        let [_, changed] = backups(&file.path);
        write(root, &changed, &text, true)?;
    }
    write(root, &file.path, &text, file.secret)
}

/// The file as it was at first.
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
