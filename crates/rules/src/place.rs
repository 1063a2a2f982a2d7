//! Where something was written: the way from the file down to the value, for diagnostics.

use std::sync::Arc;

use crate::{
    binding::Binding,
    diagnostic::{Code, Diagnostic, Location, Position},
    source_file::SourceFile,
    yaml::Mark,
};

/// Characters of a line that a snippet shows at most.
const SNIPPET_WIDTH: usize = 160;

/// A step of the way; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Step>);

#[derive(Debug)]
struct Step {
    parent: Option<Place>,
    kind: &'static str,
    name: String,
    file: Arc<SourceFile>,
    mark: Mark,
}

impl Place {
    /// The whole file.
    pub(crate) fn file(file: Arc<SourceFile>) -> Self {
        let (kind, name) = ("rules content", String::new());
        Self(Arc::new(Step { parent: None, kind, name, file, mark: Mark::default() }))
    }

    /// One step inwards; `kind` is one of the item types of specification §1.6.
    pub(crate) fn step(&self, kind: &'static str, name: &str, mark: Mark) -> Self {
        let (parent, name, file) = (Some(self.clone()), name.to_owned(), Arc::clone(&self.0.file));
        Self(Arc::new(Step { parent, kind, name, file, mark }))
    }

    /// The file it is in.
    pub(crate) fn source(&self) -> &Arc<SourceFile> {
        &self.0.file
    }

    /// Whose the names in it are: those of a file's owner, or everybody's.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.binding()?.owner.as_deref()
    }

    /// What sets the rules of its file apart.
    pub(crate) fn binding(&self) -> Option<&Binding> {
        self.source().binding.as_ref()
    }

    /// Its position in the file.
    pub(crate) fn mark(&self) -> Mark {
        self.0.mark
    }

    /// `LOAD_ERR_VALIDATE` here.
    pub(crate) fn refuse(&self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Code::LoadErrValidate, message)
    }

    /// A diagnostic at this place.
    pub(crate) fn diagnostic(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            locations: self.locations(),
            snippet: snippet(self.0.file.text(), self.0.mark.offset),
            help: String::new(),
            deprecated_field: None,
        }
    }

    fn locations(&self) -> Vec<Location> {
        let mut locations = Vec::new();
        let mut next = Some(self);
        while let Some(Place(step)) = next {
            locations.push(step.location());
            next = step.parent.as_ref();
        }
        locations.reverse();
        locations
    }
}

impl Step {
    fn location(&self) -> Location {
        let Mark { line, column, offset } = self.mark;
        let position = Position { name: self.file.name.clone(), line, column, offset };
        Location { item_type: self.kind.to_owned(), item_name: self.name.clone(), position }
    }
}

/// The line around `offset`, cut to [`SNIPPET_WIDTH`], and a caret under the place.
fn snippet(text: &str, offset: usize) -> String {
    let offset = (0..=offset.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let (before, after) = text.split_at(offset);
    let before = before.rsplit('\n').next().unwrap_or_default();
    let after = after.split(['\n', '\r']).next().unwrap_or_default();
    let half = SNIPPET_WIDTH / 2;
    let skip = before.chars().count().saturating_sub(half);
    let left: String = before.chars().skip(skip).collect();
    let right: String = after.chars().take(half).collect();
    let indent: String = left.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
    format!("{left}{right}\n{indent}^\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_show_the_line_and_the_place() {
        assert_eq!(snippet("a: b\nc: d\n", 8), "c: d\n   ^\n");
        assert_eq!(snippet("", 0), "\n^\n");
        assert_eq!(snippet("é: x", 1), "é: x\n^\n");
        assert_eq!(snippet("a:\tb", 3), "a:\tb\n  \t^\n");
        let long = "x".repeat(1000);
        assert!(snippet(&long, 500).len() < 300);
    }
}
