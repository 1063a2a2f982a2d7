//! An open log file, read by whole lines; and the file that follows it.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::place::Place;

/// Bytes read at once; also the longest line.
const CHUNK: usize = 1 << 20;
/// Bytes of the beginning by which a file is known: enough for the first event's `auditID`.
const HEAD: u64 = 160;

/// An open file.
pub(super) struct Open {
    file: File,
    /// Bytes given away.
    offset: u64,
    /// The beginning of a line whose end has not come.
    pending: Vec<u8>,
    /// In the middle of a line that is too long.
    skipping: bool,
    /// The place that was kept last.
    known: Place,
    chunk: Vec<u8>,
}

/// What was read.
pub(super) enum Text {
    /// Whole lines.
    Lines(Vec<u8>),
    /// A line that was passed over, with what is known of its length.
    TooLong(usize),
    /// Nothing, or no whole line.
    Nothing,
}

impl Open {
    fn new(file: File, offset: u64) -> Self {
        Self {
            file,
            offset,
            pending: Vec::new(),
            skipping: false,
            known: Place::default(),
            chunk: vec![0; CHUNK],
        }
    }

    /// All of the file.
    pub(super) fn at_start(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?, 0))
    }

    /// What comes after the last whole line.
    pub(super) fn at_end(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.size();
        let start = length.saturating_sub(u64::try_from(CHUNK).unwrap_or(u64::MAX));
        let mut open = Self::new(file, start);
        open.read()?;
        Ok(open)
    }

    /// The rest after a place: in the same file, under whatever name, or else in a copy of it.
    pub(super) fn resume(path: &Path, place: &Place) -> Option<Self> {
        let files: Vec<File> = rotated(path).iter().filter_map(|path| File::open(path).ok()).collect();
        let same =
            |file: &&File| file.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (place.device, place.inode));
        let fits = |file: &&File| begins_as(file, place);
        let found = files.iter().find(|file| same(file) && fits(file));
        let found = found.or_else(|| files.iter().find(|file| place.offset > 0 && fits(file)));
        found.and_then(|file| Some(Self::new(file.try_clone().ok()?, place.offset)))
    }

    /// Reads on.
    pub(super) fn read(&mut self) -> io::Result<Text> {
        let position = self.offset.saturating_add(length(&self.pending));
        let read = self.file.read_at(&mut self.chunk, position)?;
        let Some(bytes) = self.chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(Text::Nothing);
        };
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(self.no_end(read)) };
        let (whole, begun) = bytes.split_at(end.saturating_add(1));
        let mut lines = std::mem::replace(&mut self.pending, begun.to_vec());
        lines.extend_from_slice(whole);
        self.offset = self.offset.saturating_add(length(&lines));
        if std::mem::take(&mut self.skipping) {
            let first = lines.iter().position(|byte| *byte == b'\n').unwrap_or(lines.len());
            lines.drain(..first);
        }
        Ok(Text::Lines(lines))
    }

    /// A line goes on; past the bound it is passed over.
    fn no_end(&mut self, read: usize) -> Text {
        self.pending.extend_from_slice(self.chunk.get(..read).unwrap_or_default());
        let bytes = self.pending.len();
        if bytes < CHUNK && !self.skipping {
            return Text::Nothing;
        }
        self.offset = self.offset.saturating_add(length(&self.pending));
        self.pending.clear();
        if std::mem::replace(&mut self.skipping, true) {
            Text::Lines(Vec::new())
        } else {
            Text::TooLong(bytes)
        }
    }

    /// The last line of a file that will not grow any more, if it lacks its end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.pending);
        if self.skipping { Vec::new() } else { rest }
    }

    /// If the file was cut (`copytruncate`), what goes on in its place: a copy that holds what was written
    /// between the last look and the cut, or else this file from its start.
    pub(super) fn after_cut(&self, path: &Path) -> io::Result<Option<Self>> {
        if begins_as(&self.file, &self.known) {
            return Ok(None);
        }
        let copy = Self::resume(path, &self.known).filter(Self::has_more);
        copy.map_or_else(|| Ok(Self::new(self.file.try_clone()?, 0)), Ok).map(Some)
    }

    /// The file that came after this one, once nothing more comes here.
    pub(super) fn next(&mut self, path: &Path) -> io::Result<Option<Self>> {
        let here = self.file.metadata()?;
        let Ok(current) = fs::metadata(path) else { return Ok(None) };
        if identity(&current) == identity(&here) || here.size() > self.read_up_to() {
            return Ok(None);
        }
        let mut files = rotated(path).into_iter();
        let found = files.find(|path| fs::metadata(path).is_ok_and(|m| identity(&m) == identity(&here)));
        let next = found.and_then(|_| files.next()).unwrap_or_else(|| path.to_owned());
        Self::at_start(&next).map(Some)
    }

    fn has_more(&self) -> bool {
        self.file.metadata().is_ok_and(|m| m.size() > self.offset)
    }

    fn read_up_to(&self) -> u64 {
        self.offset.saturating_add(length(&self.pending))
    }

    /// What finds this place again.
    pub(super) fn place(&mut self) -> io::Result<Place> {
        let (device, inode) = identity(&self.file.metadata()?);
        self.known = Place { device, inode, offset: self.offset, head: head(&self.file, self.offset)? };
        Ok(self.known.clone())
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn identity(data: &Metadata) -> (u64, u64) {
    (data.dev(), data.ino())
}

/// The first bytes of a file, none of them behind `offset`.
fn head(file: &File, offset: u64) -> io::Result<String> {
    let mut head = vec![0; usize::try_from(offset.min(HEAD)).unwrap_or(0)];
    let read = file.read_at(&mut head, 0)?;
    head.truncate(read);
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Whether this can be the file of a place.
fn begins_as(file: &File, place: &Place) -> bool {
    let long_enough = file.metadata().is_ok_and(|m| m.size() >= place.offset);
    long_enough && head(file, place.offset).is_ok_and(|head| head == place.head)
}

/// The file and what it was before: `audit-2026-01-02T03-04-05.000.log` as apiservers name it, `audit.log.1` and
/// `audit.log-20260102` as logrotate does. Oldest first.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (name, stem, end) = (text(path.file_name()), text(path.file_stem()), text(path.extension()));
    let is_log = |other: &str| {
        let rotated =
            other.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']));
        let renamed =
            other.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(&end));
        (rotated || renamed) && Path::new(other).extension().is_none_or(|end| end != "gz")
    };
    let entries = fs::read_dir(path.parent().unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let logs = entries.filter(|entry| is_log(&entry.file_name().to_string_lossy()));
    let dated = logs.filter_map(|entry| {
        let data = entry.metadata().ok().filter(Metadata::is_file)?;
        Some(((data.mtime(), data.mtime_nsec()), entry.path()))
    });
    let mut dated: Vec<_> = dated.collect();
    dated.sort();
    dated.into_iter().map(|(_, path)| path).collect()
}
