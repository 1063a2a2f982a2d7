//! What the rule language tells an author: code, place, reason, help.

use std::ops::Range;

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

/// Every code with its short text; errors first.
const CODES: [(Code, &str, &str); 22] = [
    (Code::LoadErrFileRead, "LOAD_ERR_FILE_READ", "File read error"),
    (Code::LoadErrYamlParse, "LOAD_ERR_YAML_PARSE", "YAML parse error"),
    (Code::LoadErrYamlValidate, "LOAD_ERR_YAML_VALIDATE", "Error validating internal structure of YAML file"),
    (Code::LoadErrCompileCondition, "LOAD_ERR_COMPILE_CONDITION", "Error compiling condition"),
    (Code::LoadErrCompileOutput, "LOAD_ERR_COMPILE_OUTPUT", "Error compiling output"),
    (Code::LoadErrValidate, "LOAD_ERR_VALIDATE", "Error validating rule/macro/list/exception objects"),
    (Code::LoadErrExtension, "LOAD_ERR_EXTENSION", "Error in extension item"),
    (Code::LoadUnknownSource, "LOAD_UNKNOWN_SOURCE", "Unknown event source"),
    (Code::LoadUnsafeNaCheck, "LOAD_UNSAFE_NA_CHECK", "Unsafe <NA> comparison in condition"),
    (Code::LoadNoEvttype, "LOAD_NO_EVTTYPE", "Condition has no event-type restriction"),
    (Code::LoadUnknownFilter, "LOAD_UNKNOWN_FILTER", "Unknown field or event-type in condition or output"),
    (Code::LoadUnusedMacro, "LOAD_UNUSED_MACRO", "Unused macro"),
    (Code::LoadUnusedList, "LOAD_UNUSED_LIST", "Unused list"),
    (Code::LoadUnknownItem, "LOAD_UNKNOWN_ITEM", "Unknown rules file item"),
    (Code::LoadUnknownKey, "LOAD_UNKNOWN_KEY", "Unknown key in item definition"),
    (Code::LoadDeprecatedItem, "LOAD_DEPRECATED_ITEM", "Used deprecated item"),
    (Code::LoadWarningExtension, "LOAD_WARNING_EXTENSION", "Warning in extension item"),
    (Code::LoadAppendNoValues, "LOAD_APPEND_NO_VALUES", "Overriding/appending with no values"),
    (
        Code::LoadExceptionNameNotUnique,
        "LOAD_EXCEPTION_NAME_NOT_UNIQUE",
        "Multiple exceptions defined with the same name",
    ),
    (Code::LoadInvalidMacroName, "LOAD_INVALID_MACRO_NAME", "Invalid macro name"),
    (Code::LoadInvalidListName, "LOAD_INVALID_LIST_NAME", "Invalid list name"),
    (Code::LoadCompileCondition, "LOAD_COMPILE_CONDITION", "Warning in rule condition"),
];

impl Code {
    /// The code as Falco writes it.
    pub fn name(self) -> &'static str {
        CODES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Falco's short text for it.
    pub fn text(self) -> &'static str {
        CODES.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// Whether it stops an item from loading.
    pub fn is_error(self) -> bool {
        self.name().starts_with("LOAD_ERR_")
    }
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
    /// The deprecated field that a `LOAD_DEPRECATED_ITEM` is about.
    pub deprecated_field: Option<&'static str>,
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
    /// The macro that it is in, the innermost one.
    pub within: Option<String>,
}

/// Something that looks wrong in a text without a file yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextWarning {
    /// What kind.
    pub code: Code,
    /// The reason, one sentence.
    pub message: String,
    /// Bytes from the start of the text.
    pub offset: usize,
    /// The deprecated field that a `LOAD_DEPRECATED_ITEM` is about.
    pub deprecated_field: Option<&'static str>,
}

impl TextWarning {
    /// The same warning where the name of the macro stands that it is in.
    #[must_use]
    pub(crate) fn at(&self, name: &Range<usize>) -> Self {
        Self { offset: name.start, ..self.clone() }
    }
}

impl TextError {
    /// The same error where the name of the macro stands that it is in.
    #[must_use]
    pub(crate) fn at(&self, name: &Range<usize>, of: &str) -> Self {
        let within = self.within.clone().or_else(|| Some(of.to_owned()));
        Self { offset: name.start, within, ..self.clone() }
    }

    /// An error without help.
    pub fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset, help: String::new(), within: None }
    }

    /// The same error with a help text.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_called_the_same_in_the_table_and_in_serde() {
        for (code, name, _) in CODES {
            assert_eq!(serde_json::to_value(code).unwrap(), name);
            assert_eq!(code.is_error(), name.contains("_ERR_"));
        }
    }
}
