//! What the operator ships to the agents: rules files as one canonical text with its hash.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{binding::Binding, limits::MAX_BUNDLE_BYTES, source_file::SourceFile};

/// The first line of a bundle's text.
const HEADER: &str = "# saker bundle v1";
/// The first line when a file has a binding: who cannot read that must not take the file for one that has none.
const HEADER_BOUND: &str = "# saker bundle v2";

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
    #[error("not a rule bundle: the first line is neither '{HEADER}' nor '{HEADER_BOUND}'")]
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
        let files: Vec<_> = files.map(canonical).collect();
        let hash = hash(&text(&files));
        Self { files, hash }
    }

    /// The canonical text: a header, then each file behind a line with its binding, if it has one, and a line with its
    /// length in bytes and its name.
    pub fn to_text(&self) -> String {
        text(&self.files)
    }

    /// Whether machines of some labels leave files out.
    pub fn selects_machines(&self) -> bool {
        self.files
            .iter()
            .any(|file| file.binding.as_ref().is_some_and(|binding| !binding.machines.is_empty()))
    }

    /// Without the files that are for other machines than one with these labels; the hash stays that of the whole.
    #[must_use]
    pub fn for_machine(mut self, labels: &BTreeMap<String, String>) -> Self {
        self.files.retain(|file| file.binding.as_ref().is_none_or(|binding| binding.is_for(labels)));
        self
    }

    /// Reads a text and checks that it is canonical, so that its hash is the bundle's.
    pub fn from_text(text: &str) -> Result<Self, BundleError> {
        if text.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(text.len()));
        }
        let (header, mut rest) = text.split_once('\n').ok_or(BundleError::Header)?;
        if ![HEADER, HEADER_BOUND].contains(&header) {
            return Err(BundleError::Header);
        }
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
    let bound = files.iter().any(|file| file.binding.is_some());
    let mut text = format!("{}\n", if bound { HEADER_BOUND } else { HEADER });
    for SourceFile { name, content, binding, .. } in files {
        // Maps of texts are always JSON.
        if let Some(Ok(binding)) = binding.as_ref().map(serde_json::to_string) {
            text.extend(["# bound ", &binding, "\n"]);
        }
        // Writing to a string cannot fail.
        let _ok = write!(text, "# file {} {name}\n{content}", content.len());
    }
    text
}

/// The first file of a text and what follows it.
fn file(text: &str) -> Option<(SourceFile, &str)> {
    let (binding, text) = binding(text)?;
    let (head, rest) = text.strip_prefix("# file ")?.split_once('\n')?;
    let (length, name) = head.split_once(' ')?;
    let (content, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((SourceFile { binding, ..SourceFile::new(name, content) }, rest))
}

/// The binding of the first file of a text, and the text from the file on; nothing if there is a malformed one.
fn binding(text: &str) -> Option<(Option<Binding>, &str)> {
    let Some(text) = text.strip_prefix("# bound ") else { return Some((None, text)) };
    let (json, text) = text.split_once('\n')?;
    Some((Some(serde_json::from_str(json).ok()?), text))
}

fn canonical(file: SourceFile) -> SourceFile {
    SourceFile { name: one_line(&file.name), content: lines(&file.content), ..file }
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
    fn bindings_travel_and_older_readers_refuse_them() {
        let binding = Binding {
            owner: Some("team".to_owned()),
            conditions: [("syscall".to_owned(), "k8s.ns.name = \"team\"".to_owned())].into(),
            shadow: true,
            ..Binding::default()
        };
        let bound = SourceFile { binding: Some(binding.clone()), ..SourceFile::new("b", "# file 3 x\n") };
        let bundle = Bundle::new([SourceFile::new("a", ""), bound]);
        let text = bundle.to_text();
        assert!(text.starts_with("# saker bundle v2\n"), "{text}");
        assert_eq!(Bundle::from_text(&text).unwrap().files[1].binding.as_ref(), Some(&binding));
        let unbound = Bundle::new(bundle.files.iter().map(|f| SourceFile { binding: None, ..f.clone() }));
        assert_ne!(unbound.hash, bundle.hash);
        assert!(unbound.to_text().starts_with("# saker bundle v1\n"), "older agents read it");
        for forged in [text.replace("v2", "v1"), text.replace("\"shadow\":true", "\"silent\":true")] {
            assert!(matches!(Bundle::from_text(&forged), Err(BundleError::Damaged(_))), "{forged}");
        }
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
