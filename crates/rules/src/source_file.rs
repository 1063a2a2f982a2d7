//! Rules files as they come to the rule language.

use serde::{Deserialize, Serialize};

use crate::binding::Binding;

/// A rules file. Reading it is the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name in messages.
    pub name: String,
    /// Its text.
    pub content: String,
    /// Why it could not be read; then the text is not looked at.
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

    /// A file as bytes; unreadable if they are not UTF-8.
    pub fn from_bytes(name: impl Into<String>, content: Vec<u8>) -> Self {
        match String::from_utf8(content) {
            Ok(content) => Self::new(name, content),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Self::unreadable(name, format!("not UTF-8 text: the byte at offset {at} fits no character"))
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.content
    }
}
