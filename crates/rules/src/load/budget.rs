//! What a load may use up of something. Half of it is there for all files; the other half is kept for each file in equal
//! shares, so that a file that wants too much is left out alone.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::source_file::SourceFile;

#[derive(Debug)]
pub(super) struct Budget {
    common: usize,
    /// Kept for each file.
    share: usize,
    /// What is left of the shares of files that used some of theirs, by the place of the file in memory.
    left: FxHashMap<*const SourceFile, usize>,
}

impl Budget {
    /// All of `total`, in a load of so many files.
    pub(super) fn new(total: usize, files: usize) -> Self {
        let share = (total / 2).checked_div(files).unwrap_or(0);
        let common = total.saturating_sub(share.saturating_mul(files));
        Self { common, share, left: FxHashMap::default() }
    }

    /// How much a file may still use.
    pub(super) fn left(&self, file: &Arc<SourceFile>) -> usize {
        let own = self.left.get(&Arc::as_ptr(file)).copied().unwrap_or(self.share);
        self.common.saturating_add(own)
    }

    /// Takes away what a file used, from its share first.
    pub(super) fn spend(&mut self, file: &Arc<SourceFile>, used: usize) {
        let own = self.left.entry(Arc::as_ptr(file)).or_insert(self.share);
        let rest = used.saturating_sub(*own);
        *own = own.saturating_sub(used);
        self.common = self.common.saturating_sub(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_file_leaves_the_others_their_shares() {
        let files: Vec<_> = ["a", "b"].map(|name| Arc::new(SourceFile::new(name, ""))).into();
        let mut budget = Budget::new(100, 2);
        assert_eq!(budget.left(&files[0]), 75);
        budget.spend(&files[0], 75);
        assert_eq!((budget.left(&files[0]), budget.left(&files[1])), (0, 25));
        budget.spend(&files[1], 10);
        assert_eq!(budget.left(&files[1]), 15);
        assert_eq!(Budget::new(100, 1).left(&files[0]), 100);
        assert_eq!(Budget::new(100, 0).left(&files[0]), 100);
    }
}
