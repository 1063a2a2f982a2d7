//! The last good bundle on disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use saker_crds::bundle::sha256;
use saker_rules::bundle::Bundle;

use super::fetch;

const FILE: &str = "bundle";
const LABELS: &str = "labels.json";

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

    /// Keeps a bundle.
    pub(super) fn store(&self, bundle: &Bundle) -> io::Result<()> {
        let text = bundle.to_text();
        self.replace(FILE, &[sha256(text.as_bytes()).as_bytes(), b"\n", text.as_bytes()])
    }

    /// The labels of this node in the last run; none if they were never asked for.
    pub fn load_labels(&self) -> BTreeMap<String, String> {
        let text = fs::read(self.folder.join(LABELS)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Keeps the labels of this node.
    pub(super) fn store_labels(&self, labels: &BTreeMap<String, String>) -> io::Result<()> {
        self.replace(LABELS, &[&serde_json::to_vec(labels)?])
    }

    /// Whole on disk before it takes the place of what was there.
    fn replace(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let temporary = self.folder.join(format!("{name}.new"));
        write(&self.folder, &temporary, name, parts).inspect_err(|_| {
            // What a full disk took of it goes; it may not be there at all.
            let _ = fs::remove_file(&temporary);
        })
    }
}

fn write(folder: &Path, temporary: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = File::create(temporary)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()?;
    fs::rename(temporary, folder.join(name))?;
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
