//! Rules files as they come to the rule language.

use serde::{Deserialize, Serialize};

use crate::{binding::Binding, yaml::Mark};

/// A rules file. Reading it is the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name in messages.
    pub name: String,
    /// Its text.
    pub content: String,
    /// Why it could not be read; then the text is not looked at, and ends where that was found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// What sets its rules apart from those of other files, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

impl SourceFile {
    /// A file that was read.
    pub fn new(name: impl Into<String>, content: impl Into<String>) -> Self {
        Self { name: name.into(), content: content.into(), ..Self::default() }
    }

    /// A file that could not be read.
    pub fn unreadable(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), unreadable: Some(reason.into()), ..Self::default() }
    }

    /// A file as bytes; unreadable if they are not UTF-8, and then it is the text before.
    pub fn from_bytes(name: impl Into<String>, content: Vec<u8>) -> Self {
        let error = match String::from_utf8(content) {
            Ok(content) => return Self::new(name, content),
            Err(error) => error,
        };
        let at = error.utf8_error().valid_up_to();
        let reason = format!("not UTF-8 text: the byte at offset {at} fits no character");
        let before = String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default());
        Self { content: before.into_owned(), ..Self::unreadable(name, reason) }
    }

    /// Where its text ends.
    pub(crate) fn end(&self) -> Mark {
        self.content.chars().fold(Mark::default(), Mark::after)
    }

    pub(crate) fn text(&self) -> &str {
        &self.content
    }
}
