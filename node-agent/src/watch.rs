//! Says when files or directories may have changed. Files are watched through their directories, so that
//! a replaced file (editors, ConfigMap mounts) is seen too.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    thread,
    time::{Duration, Instant},
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};

/// Quiet time after a change before it is told: files often change in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// A change is told after this time even if there is no quiet.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is told of directories: not that a file is opened or read, which in /etc happens all the time and would
/// cost whoever does it.
const CHANGES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::MOVE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);
/// Room for many events of one read.
const BUFFER_BYTES: usize = 4096;

/// Watches paths.
pub struct Watch {
    watches: Watches,
    changes: Receiver<()>,
    paths: Vec<PathBuf>,
    directories: BTreeMap<PathBuf, WatchDescriptor>,
}

impl Watch {
    /// Watches these paths, whether they exist yet or not.
    pub fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> io::Result<Self> {
        let (sender, changes) = mpsc::sync_channel(1);
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        thread::Builder::new().name("inotify".to_owned()).spawn(move || tell(inotify, &sender))?;
        let paths = paths.map(Path::to_owned).collect();
        let mut watch = Self { watches, changes, paths, directories: BTreeMap::new() };
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
        let mut now = BTreeMap::new();
        for directory in self.paths.iter().flat_map(|path| directories(path)) {
            // Again even if watched: a directory may have been replaced by another of the same name.
            match self.watches.add(&directory, CHANGES) {
                Ok(watch) => drop(now.insert(directory, watch)),
                Err(error) => {
                    tracing::warn!(%error, directory = %directory.display(), "Changes of rules will not be seen");
                }
            }
        }
        for (_, watch) in std::mem::replace(&mut self.directories, now.clone()) {
            if !now.values().any(|kept| *kept == watch) {
                // It may be gone indeed, and its watch with it.
                let _ = self.watches.remove(watch);
            }
        }
    }
}

/// Tells changes until nobody listens.
fn tell(mut inotify: Inotify, changes: &SyncSender<()>) {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let changed = match inotify.read_events_blocking(&mut buffer) {
            // The end of a watch is no change of its own.
            Ok(mut events) => events.any(|event| event.mask != EventMask::IGNORED),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => return tracing::error!(%error, "Changes of rules are no longer seen"),
        };
        // A full channel holds a change that is not told yet.
        if changed && changes.try_send(()) == Err(TrySendError::Disconnected(())) {
            return;
        }
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

    const SOON: Duration = Duration::from_mins(1);
    const QUIET: Duration = Duration::from_millis(50);

    #[test]
    fn changes_of_a_directory_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules.d");
        let mut watch = Watch::new([rules.as_path()].into_iter()).unwrap();
        assert!(!watch.wait(QUIET));
        fs::create_dir(&rules).unwrap();
        assert!(watch.wait(SOON), "the directory appears");
        fs::write(rules.join("a.yaml"), "1").unwrap();
        fs::write(rules.join("b.yaml"), "1").unwrap();
        assert!(watch.wait(SOON), "files appear");
        // On a busy machine one after the other.
        while watch.wait(QUIET * 10) {}
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
