//! Reports about files, for people and as Falco's validation JSON (specification §1.6, §9).

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::{
    diagnostic::{Diagnostic, Location},
    load::FileReport,
};

/// One line per file, and below it what was found, each with place, line and help.
pub fn text(files: &[FileReport]) -> String {
    files.iter().map(ToString::to_string).collect()
}

/// `{"falco_load_results": […]}`.
pub fn json(files: &[FileReport]) -> Value {
    json!({ "falco_load_results": files.iter().map(file).collect::<Vec<_>>() })
}

impl FileReport {
    /// The first line: the file and how it went.
    pub fn summary(&self) -> String {
        let state = match (self.successful(), self.warnings.is_empty()) {
            (false, _) => "Invalid",
            (true, false) => "Ok, with warnings",
            (true, true) => "Ok",
        };
        format!("{}: {state}", self.name)
    }

    /// `ok`, `failed for PATH: …` or `none`, as Falco says it.
    pub fn schema_validation(&self) -> String {
        match self.schema.as_deref() {
            None => "none".to_owned(),
            Some([]) => "ok".to_owned(),
            Some([first, ..]) => format!("failed for {first}"),
        }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        for (kind, diagnostics) in [("Error", &self.errors), ("Warning", &self.warnings)] {
            if !diagnostics.is_empty() {
                let plural = if diagnostics.len() == 1 { "" } else { "s" };
                writeln!(f, "{} {kind}{plural}:", diagnostics.len())?;
            }
            diagnostics.iter().try_for_each(|diagnostic| diagnostic.fmt(f))?;
        }
        Ok(())
    }
}

/// Several lines: the way in, the line of the file with a caret, code and message, help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, location) in self.locations.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "In " } else { "   " }, step(location))?;
        }
        writeln!(f, "------\n{}------", self.snippet)?;
        writeln!(f, "{} ({}): {}", self.code.name(), self.code.text(), self.message)?;
        if !self.help.is_empty() {
            writeln!(f, "help: {}", self.help)?;
        }
        Ok(())
    }
}

/// `rule 'x': (file:3:5)`; people count from 1.
fn step(location: &Location) -> String {
    let Location { item_type, item_name, position } = location;
    let mut text = item_type.clone();
    // Writing to a string cannot fail.
    if !item_name.is_empty() {
        let _ok = write!(text, " '{item_name}'");
    }
    let (line, column) = (position.line.saturating_add(1), position.column.saturating_add(1));
    let _ok = writeln!(text, ": ({}:{line}:{column})", position.name);
    text
}

fn file(report: &FileReport) -> Value {
    let all = |diagnostics: &[Diagnostic]| diagnostics.iter().map(diagnostic).collect::<Vec<_>>();
    let mut value = json!({
        "name": report.name,
        "successful": report.successful(),
        "errors": all(&report.errors),
        "warnings": all(&report.warnings),
    });
    if let (Some(found), Some(object)) = (&report.schema, value.as_object_mut()) {
        object.insert("schema_valid".to_owned(), json!(found.is_empty()));
        object.insert("schema_warnings".to_owned(), json!(found));
    }
    value
}

fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let mut value = json!({
        "code": diagnostic.code,
        "codedesc": diagnostic.code.text(),
        "message": diagnostic.message,
        "context": { "locations": diagnostic.locations, "snippet": diagnostic.snippet },
    });
    let extra = [("deprecated_field", diagnostic.deprecated_field), ("help", Some(diagnostic.help.as_str()))];
    for (key, text) in extra {
        if let (Some(text), Some(object)) = (text.filter(|t| !t.is_empty()), value.as_object_mut()) {
            object.insert(key.to_owned(), json!(text));
        }
    }
    value
}
