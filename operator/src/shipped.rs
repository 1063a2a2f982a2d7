//! Which bundles were shipped, and since which of them a file is as it is. A node that is on its way from one bundle to
//! the next runs what both hold: one rule that changes does not make the others look as if they ran nowhere.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use saker_rules::{bundle::Bundle, load::SourceFile};

/// Bundles that are remembered; a node that runs an older one counts as on its way.
const MAX_BUNDLES: usize = 64;

/// What files hold, by name, as a digest.
pub(crate) type Contents = BTreeMap<String, u64>;

/// See [`crate::shipped`].
#[derive(Debug, Default)]
pub struct Shipped {
    /// Their hashes and numbers, oldest first. A bundle that comes back has the number of its return.
    bundles: VecDeque<(String, u64)>,
    /// Number of the bundle that was shipped last.
    last: u64,
    /// What a file holds now, and the bundle with which that began.
    files: BTreeMap<String, (u64, u64)>,
}

impl Shipped {
    /// Takes note of the bundle that is in the cluster now.
    pub(crate) fn ship(&mut self, hash: &str, contents: Contents) {
        if self.bundles.back().is_some_and(|(last, _)| last == hash) {
            return;
        }
        self.last += 1;
        self.bundles.retain(|(known, _)| known != hash);
        self.bundles.push_back((hash.to_owned(), self.last));
        if self.bundles.len() > MAX_BUNDLES {
            self.bundles.pop_front();
        }
        let mut before = std::mem::take(&mut self.files);
        for (file, content) in contents {
            let since = before.remove(&file).filter(|(old, _)| *old == content);
            self.files.insert(file, (content, since.map_or(self.last, |(_, since)| since)));
        }
    }

    /// Whether a node that runs the bundle with this hash runs the file as it is now.
    pub(crate) fn holds(&self, hash: &str, file: &str) -> bool {
        let number = self.bundles.iter().find(|(known, _)| known == hash).map(|(_, number)| *number);
        let since = self.files.get(file).map(|(_, since)| *since);
        number.zip(since).is_some_and(|(number, since)| number >= since)
    }
}

/// What the files of a bundle hold, and whom they are for.
pub(crate) fn contents(bundle: &Bundle) -> Contents {
    let digest = |file: &SourceFile| {
        let mut hasher = DefaultHasher::new();
        (&file.content, serde_json::to_string(&file.binding).ok()).hash(&mut hasher);
        hasher.finish()
    };
    bundle.files.iter().map(|file| (file.name.clone(), digest(file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(files: &[(&str, &str)]) -> Bundle {
        Bundle::new(files.iter().map(|(name, content)| SourceFile::new(*name, *content)))
    }

    #[test]
    fn a_node_on_an_older_bundle_runs_what_did_not_change_since() {
        let first = bundle(&[("a", "1"), ("b", "1")]);
        let second = bundle(&[("a", "1"), ("b", "2")]);
        let mut shipped = Shipped::default();
        shipped.ship(&first.hash, contents(&first));
        shipped.ship(&second.hash, contents(&second));
        let holds = [(&first, "a", true), (&first, "b", false), (&second, "b", true), (&second, "c", false)];
        for (bundle, file, expected) in holds {
            assert_eq!(shipped.holds(&bundle.hash, file), expected, "{file} of {bundle:?}");
        }
        assert!(!shipped.holds("unknown", "a"));
        // Back again: the nodes that stayed there run all of it.
        shipped.ship(&first.hash, contents(&first));
        assert!(shipped.holds(&first.hash, "b") && shipped.holds(&second.hash, "a"));
        assert!(!shipped.holds(&second.hash, "b"));
    }

    #[test]
    fn the_oldest_bundles_are_forgotten() {
        let mut shipped = Shipped::default();
        let all: Vec<_> =
            (0..=MAX_BUNDLES).map(|i| bundle(&[("same", "1"), ("b", &i.to_string())])).collect();
        for bundle in &all {
            shipped.ship(&bundle.hash, contents(bundle));
        }
        assert!(!shipped.holds(&all[0].hash, "same"));
        assert!(shipped.holds(&all[1].hash, "same"));
    }
}
