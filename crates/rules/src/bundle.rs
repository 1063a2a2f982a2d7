//! What the operator ships to the agents: rules files as one canonical text with its hash.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{limits::MAX_BUNDLE_BYTES, load::SourceFile};

/// The first line of a bundle's text.
const HEADER: &str = "# saker bundle v1";

/// Rules files in the order in which they load, with the hash of their canonical text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The files; their text ends its lines with `\n`.
    pub files: Vec<SourceFile>,
    /// SHA-256 of [`Bundle::to_text`], lower-case hexadecimal.
    pub hash: String,
}

/// Why a text is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Something else, or a newer format.
    #[error("not a rule bundle: the first line is not '{HEADER}'")]
    Header,
    /// Cut off or edited by hand.
    #[error("the rule bundle is damaged at byte {0}: ship it again")]
    Damaged(usize),
    /// More than [`MAX_BUNDLE_BYTES`].
    #[error("the rule bundle has {0} bytes, more than {MAX_BUNDLE_BYTES}: remove rules")]
    TooLarge(usize),
    /// Not the text that the hash was made of.
    #[error("the rule bundle has the hash {found}, not {expected}: ship it again")]
    Hash {
        /// What the operator announced.
        expected: String,
        /// What the text has.
        found: String,
    },
}

impl Bundle {
    /// Makes a bundle; files that could not be read are left out.
    pub fn new(files: impl IntoIterator<Item = SourceFile>) -> Self {
        let files = files.into_iter().filter(|file| file.unreadable.is_none());
        let files: Vec<_> = files.map(|f| SourceFile::new(one_line(&f.name), lines(&f.content))).collect();
        let hash = hash(&text(&files));
        Self { files, hash }
    }

    /// The canonical text: a header, then each file behind a line with its length in bytes and its name.
    pub fn to_text(&self) -> String {
        text(&self.files)
    }

    /// Reads a text and checks that it is canonical, so that its hash is the bundle's.
    pub fn from_text(text: &str) -> Result<Self, BundleError> {
        if text.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(text.len()));
        }
        let mut rest =
            text.strip_prefix(HEADER).and_then(|t| t.strip_prefix('\n')).ok_or(BundleError::Header)?;
        let mut files = Vec::new();
        while !rest.is_empty() {
            let at = text.len().saturating_sub(rest.len());
            let (file, behind) = file(rest).ok_or(BundleError::Damaged(at))?;
            files.push(file);
            rest = behind;
        }
        let bundle = Self::new(files);
        if bundle.to_text() == text { Ok(bundle) } else { Err(BundleError::Damaged(0)) }
    }

    /// Whether this is the bundle that was announced.
    pub fn verify(&self, expected: &str) -> Result<(), BundleError> {
        let found = hash(&self.to_text());
        if found == expected {
            return Ok(());
        }
        Err(BundleError::Hash { expected: expected.to_owned(), found })
    }
}

fn text(files: &[SourceFile]) -> String {
    let mut text = format!("{HEADER}\n");
    for SourceFile { name, content, .. } in files {
        // Writing to a string cannot fail.
        let _ok = write!(text, "# file {} {name}\n{content}", content.len());
    }
    text
}

/// The first file of a text and what follows it.
fn file(text: &str) -> Option<(SourceFile, &str)> {
    let (head, rest) = text.strip_prefix("# file ")?.split_once('\n')?;
    let (length, name) = head.split_once(' ')?;
    let (content, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((SourceFile::new(name, content), rest))
}

/// Lines that end with `\n`, the last one, too; no byte order mark.
fn lines(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

fn one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let files =
            [("a.yaml", "\u{feff}- list: a\r\n  items: [é]"), ("b 2.yaml", ""), ("c", "# file 3 x\n")];
        Bundle::new(files.map(|(name, content)| SourceFile::new(name, content)))
    }

    #[test]
    fn a_bundle_reads_back() {
        let bundle = bundle();
        assert_eq!(bundle.files[0].content, "- list: a\n  items: [é]\n");
        let back = Bundle::from_text(&bundle.to_text()).unwrap();
        assert_eq!(back, bundle);
        assert_eq!(back.verify(&bundle.hash), Ok(()));
        assert_eq!(bundle.hash.len(), 64);
    }

    #[test]
    fn the_hash_tells_bundles_apart() {
        let mut other = bundle();
        other.files.swap(0, 1);
        assert!(matches!(other.verify(&bundle().hash), Err(BundleError::Hash { .. })));
        let unix = Bundle::new([SourceFile::new("a", "x\n")]);
        assert_eq!(unix, Bundle::new([SourceFile::new("a", "x\r\n"), SourceFile::unreadable("b", "gone")]));
    }

    #[test]
    fn damage_is_an_error() {
        let text = bundle().to_text();
        assert_eq!(Bundle::from_text(""), Err(BundleError::Header));
        assert_eq!(Bundle::from_text("kind: List"), Err(BundleError::Header));
        assert!(matches!(Bundle::from_text(&text[..text.len() - 3]), Err(BundleError::Damaged(_))));
        assert!(matches!(Bundle::from_text(&text.replace('é', "\r")), Err(BundleError::Damaged(_))));
        let long = "x".repeat(MAX_BUNDLE_BYTES + 1);
        assert!(matches!(Bundle::from_text(&long), Err(BundleError::TooLarge(_))));
    }
}
