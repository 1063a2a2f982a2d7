//! The last good bundle on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use saker_crds::bundle::sha256;
use saker_rules::bundle::Bundle;

use super::fetch;

const FILE: &str = "bundle";
const TEMPORARY: &str = "bundle.new";

/// A folder with at most one bundle: its SHA-256 on the first line, its text behind it.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Keeps the bundle in this folder, which is made when needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The bundle of the last run, if there is a sound one.
    pub fn load(&self) -> Option<Bundle> {
        let path = self.folder.join(FILE);
        match read(&path) {
            Ok(bundle) => Some(bundle),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                tracing::warn!("the kept rules of the cluster are not used: {}: {e}", path.display());
                None
            }
        }
    }

    /// Keeps a bundle: whole on disk before it takes the place of the one before. What a full disk took of it goes.
    pub(super) fn store(&self, bundle: &Bundle) -> io::Result<()> {
        let temporary = self.folder.join(TEMPORARY);
        write(&self.folder, &temporary, bundle).inspect_err(|_| {
            // It may not be there at all.
            let _ = fs::remove_file(&temporary);
        })
    }
}

fn write(folder: &Path, temporary: &Path, bundle: &Bundle) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let text = bundle.to_text();
    let mut file = File::create(temporary)?;
    writeln!(file, "{}", sha256(text.as_bytes()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> io::Result<Bundle> {
    let unsound = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    let content = fs::read_to_string(path)?;
    let (hash, text) = content.split_once('\n').ok_or_else(|| unsound("it has no first line"))?;
    if sha256(text.as_bytes()) != hash {
        return Err(unsound("its text does not hash to what its first line says"));
    }
    fetch::parse(text).map_err(io::Error::other)
}
