//! Diagnostics on their way into the reports, and what to do after an error.

use crate::{
    diagnostic::{Diagnostic, Location},
    load::Mode,
};

/// The end of a load, or of a file.
#[derive(Debug)]
pub(super) struct Stop;

/// Something that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// `rule`, `macro`, `list`, …; `rules content` for the rest of a file, or all of it.
    pub item_type: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// The file it is in.
    pub file: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// What was found since the last report.
#[derive(Debug)]
pub(super) struct Log {
    mode: Mode,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) quarantined: Vec<Quarantined>,
}

impl Log {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, errors: Vec::new(), warnings: Vec::new(), quarantined: Vec::new() }
    }

    /// An item is wrong.
    pub(super) fn fail(&mut self, error: Diagnostic) -> Result<(), Stop> {
        self.quarantine(error.locations.get(1).or(error.locations.first()), &error);
        self.errors.push(error);
        if self.mode == Mode::Strict { Err(Stop) } else { Ok(()) }
    }

    /// A file is wrong: nothing more is read from it.
    pub(super) fn fail_file(&mut self, error: Diagnostic) -> Result<(), Stop> {
        self.quarantine(error.locations.first(), &error);
        self.errors.push(error);
        Err(Stop)
    }

    fn quarantine(&mut self, item: Option<&Location>, error: &Diagnostic) {
        let Some(item) = item.filter(|_| self.mode == Mode::Quarantine) else { return };
        self.quarantined.push(Quarantined {
            item_type: item.item_type.clone(),
            name: item.item_name.clone(),
            file: item.position.name.clone(),
            reason: error.message.clone(),
        });
    }

    pub(super) fn take(&mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (std::mem::take(&mut self.errors), std::mem::take(&mut self.warnings))
    }
}
