//! Objects that are defined twice. That is how rules are adapted, and sometimes an accident.

use std::fmt;

use crate::place::Place;

/// A rule, macro or list that a later definition of the same name replaces as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    kind: &'static str,
    name: String,
    before: String,
    after: String,
    /// The file of the later one.
    file: String,
}

impl Replaced {
    pub(super) fn new(kind: &'static str, name: &str, before: &Place, after: &Place) -> Self {
        let file = after.source().name.clone();
        let [before, after] = [before, after]
            .map(|place| format!("{}:{}", place.source().name, place.mark().line.saturating_add(1)));
        Self { kind, name: name.to_owned(), before, after, file }
    }

    /// The file with the later definition.
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, before, after, file: _ } = self;
        write!(f, "the {kind} '{name}' of {before} is replaced by that of {after}")
    }
}
