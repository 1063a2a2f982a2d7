//! What the test cases of rules came to.

use std::io::{self, Write};

use saker_engine::case::Case;

/// How one file's cases ended.
pub(crate) struct Report {
    /// The file.
    pub(crate) file: String,
    /// Each case with what is wrong with it: nothing if it holds.
    pub(crate) cases: Vec<(Case, Vec<String>)>,
}

impl Report {
    /// Says what is wrong.
    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for (case, wrong) in self.cases.iter().filter(|(_, wrong)| !wrong.is_empty()) {
            writeln!(out, "{}: FAILED {}: {}", self.file, case.rule, case.name)?;
            for line in wrong {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }
}
