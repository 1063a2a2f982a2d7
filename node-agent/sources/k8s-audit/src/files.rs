//! Files that are replaced while the program runs: what was made of them is made anew when they change.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What tells one content of a file from the next without reading it: time, inode and size. A Kubernetes
/// volume replaces files through links, which changes the inode.
type Stamp = Vec<Option<(i64, i64, u64, u64)>>;

/// A value made of files.
pub(crate) struct Reloaded<T> {
    files: Vec<PathBuf>,
    last: Mutex<(Stamp, Arc<T>)>,
}

impl<T> Reloaded<T> {
    /// Makes the value for the first time; later changes are looked for in all of `files`.
    pub(crate) fn new<E>(files: Vec<PathBuf>, make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let stamp = stamp(&files);
        let value = Arc::new(make()?);
        Ok(Self { files, last: Mutex::new((stamp, value)) })
    }

    /// The value of the files as they are now. While they cannot be used the last good value stays in force,
    /// and `make` is tried again when they change the next time: half of a replacement is no fault.
    pub(crate) fn get<E>(&self, make: impl FnOnce() -> Result<T, E>, failed: impl FnOnce(&E)) -> Arc<T> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.files);
        if last.0 != now {
            last.0 = now;
            match make() {
                Ok(value) => last.1 = Arc::new(value),
                Err(error) => failed(&error),
            }
        }
        Arc::clone(&last.1)
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        let data = fs::metadata(Path::new(path)).ok()?;
        Some((data.mtime(), data.mtime_nsec(), data.ino(), data.size()))
    };
    files.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_value_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        let write = |text: &str| {
            let new = dir.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, &path).unwrap();
        };
        let make = || fs::read_to_string(&path).unwrap().parse::<u32>();
        write("1");
        let reloaded = Reloaded::new(vec![path.clone()], make).unwrap();
        for (text, value, failures) in [("22", 22, 0), ("bad", 22, 1), ("333", 333, 0)] {
            write(text);
            let mut failed = 0;
            assert_eq!(*reloaded.get(make, |_| failed += 1), value);
            assert_eq!(*reloaded.get(make, |_| failed += 1), value);
            assert_eq!(failed, failures, "told once");
        }
    }
}
