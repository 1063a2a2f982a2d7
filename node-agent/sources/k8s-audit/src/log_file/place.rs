//! How far a log file was read, kept on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

/// A place in a file that may be renamed, copied and cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The file's device.
    pub(super) device: u64,
    /// The file's inode.
    pub(super) inode: u64,
    /// Bytes read.
    pub(super) offset: u64,
    /// How the file begins, which tells it from another in the same inode, and finds it in a copy.
    pub(super) head: String,
}

impl Place {
    /// What was kept. A file that cannot be used is like none.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let text = fs::read(path).ok()?;
        let place = serde_json::from_slice(&text);
        if let Err(error) = &place {
            tracing::error!("{} is left out: {error}", path.display());
        }
        place.ok()
    }

    /// Replaces what was kept, whole.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(new, path)
    }
}
