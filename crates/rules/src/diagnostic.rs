//! What the rule language tells an author: code, place, reason, help.

use serde::{Deserialize, Serialize};

/// Falco's codes (specification §1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are Falco's")]
pub enum Code {
    LoadErrFileRead,
    LoadErrYamlParse,
    LoadErrYamlValidate,
    LoadErrCompileCondition,
    LoadErrCompileOutput,
    LoadErrValidate,
    LoadErrExtension,
    LoadUnknownSource,
    LoadUnsafeNaCheck,
    LoadNoEvttype,
    LoadUnknownFilter,
    LoadUnusedMacro,
    LoadUnusedList,
    LoadUnknownItem,
    LoadUnknownKey,
    LoadDeprecatedItem,
    LoadWarningExtension,
    LoadAppendNoValues,
    LoadExceptionNameNotUnique,
    LoadInvalidMacroName,
    LoadInvalidListName,
    LoadCompileCondition,
}

/// A place in a file. Line and column count from 0 as in Falco's JSON; people are shown them from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// File name as given.
    pub name: String,
    /// From 0.
    pub line: usize,
    /// From 0, in characters.
    pub column: usize,
    /// Bytes from the start of the file.
    pub offset: usize,
}

/// One step of the way from the file to the place: `rule 'x'`, then `rule condition`, ….
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Falco's word for it: `rule`, `condition expression`, ….
    pub item_type: String,
    /// Its name, or empty.
    pub item_name: String,
    /// Where it starts.
    pub position: Position,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind.
    pub code: Code,
    /// The reason, one sentence.
    pub message: String,
    /// From the file inwards.
    pub locations: Vec<Location>,
    /// The lines around the place, with a caret under it.
    pub snippet: String,
    /// What to do next ("did you mean 'proc.name'?"), or empty.
    pub help: String,
}

/// A problem in a text without a file yet: a condition or an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    /// The reason, with Falco's words where a user may search for them.
    pub message: String,
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What to do next, or empty.
    pub help: String,
}

impl TextError {
    /// An error without help.
    pub fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset, help: String::new() }
    }

    /// The same error with a help text.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }
}
