//! Says when files or directories may have changed. Files are watched through their directories, so that
//! a replaced file (editors, ConfigMap mounts) is seen too.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};

/// Quiet time after a change before it is told: files often change in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// A change is told after this time even if there is no quiet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches paths.
pub struct Watch {
    watcher: RecommendedWatcher,
    changes: Receiver<()>,
    paths: Vec<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches these paths, whether they exist yet or not.
    pub fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> notify::Result<Self> {
        let (sender, changes) = mpsc::sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|e| is_change(e.kind)) {
                // A full channel holds a change that is not told yet.
                let _ = sender.try_send(());
            }
        })?;
        let paths = paths.map(Path::to_owned).collect();
        let mut watch = Self { watcher, changes, paths, directories: BTreeSet::new() };
        watch.follow();
        Ok(watch)
    }

    /// Waits for a change, at most so long, and then for quiet. False if there was no change.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if self.changes.recv_timeout(timeout).is_err() {
            return false;
        }
        let first = Instant::now();
        while first.elapsed() < PATIENCE {
            if self.changes.recv_timeout(DEBOUNCE) == Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        self.follow();
        true
    }

    /// Watches the directories there are now, instead of those before.
    fn follow(&mut self) {
        let now: BTreeSet<_> = self.paths.iter().flat_map(|path| directories(path)).collect();
        for gone in self.directories.difference(&now) {
            // It may be gone indeed, and its watch with it.
            let _ = self.watcher.unwatch(gone);
        }
        self.directories = now;
        for directory in &self.directories {
            // Again even if watched: a directory may have been replaced by another of the same name.
            if let Err(error) = self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %directory.display(), "Changes of rules will not be seen");
            }
        }
    }
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => matches!(access, AccessKind::Close(notify::event::AccessMode::Write)),
        _ => true,
    }
}

/// The directory itself and the one above it: what exists of them, or else the nearest that does.
fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = path.ancestors().skip(1).find(|p| p.is_dir()).map(Path::to_owned);
    let itself = Some(path.to_owned()).filter(|p| p.is_dir());
    itself.into_iter().chain(parent)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const QUIET: Duration = Duration::from_millis(50);

    #[test]
    fn changes_of_a_directory_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules.d");
        let mut watch = Watch::new([rules.as_path()].into_iter()).unwrap();
        assert!(!watch.wait(QUIET));
        fs::create_dir(&rules).unwrap();
        assert!(watch.wait(SOON), "the directory appears");
        fs::write(rules.join("a.yaml"), "1").unwrap();
        fs::write(rules.join("b.yaml"), "1").unwrap();
        assert!(watch.wait(SOON), "files appear");
        assert!(!watch.wait(QUIET), "and are told once");
        fs::read(rules.join("a.yaml")).unwrap();
        assert!(!watch.wait(QUIET), "reading is no change");
        fs::write(rules.join("a.yaml"), "2").unwrap();
        assert!(watch.wait(SOON), "a file changes");
        fs::remove_file(rules.join("b.yaml")).unwrap();
        assert!(watch.wait(SOON), "a file goes");
    }

    #[test]
    fn a_replaced_file_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("a.yaml"), dir.path().join("new"));
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new([file.as_path()].into_iter()).unwrap();
        for _ in 0..2 {
            fs::write(&new, "2").unwrap();
            fs::rename(&new, &file).unwrap();
            assert!(watch.wait(SOON));
        }
    }
}
