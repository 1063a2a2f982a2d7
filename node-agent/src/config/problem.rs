//! What is wrong with a configuration, where, and what to write instead.

use std::{fmt, path::Path};

use serde_saphyr::{Error, RenderOptions};

/// Keys further from every known one get no suggestion.
const MIN_SIMILARITY: f64 = 0.75;

/// Words of the library that speak of Rust, and ours.
const PLAINER: &[(&str, &str)] = &[
    ("invalid u8", "a whole number from 0 to 255 is expected"),
    ("invalid u16", "a whole number from 0 to 65535 is expected"),
    ("invalid u32", "a whole number from 0 to 4294967295 is expected"),
    ("invalid usize", "a whole number is expected"),
    ("invalid f64", "a number is expected"),
    ("invalid bool", "true or false is expected"),
    ("invalid boolean", "true or false is expected"),
    ("expected mapping start", "a mapping of keys to values is expected"),
    ("expected sequence start", "a list is expected"),
    ("expected string scalar", "a text, a number, true or false is expected"),
];

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// `file:line:column`, a file or an option.
    place: String,
    message: String,
}

impl ConfigError {
    /// An error at a place in a file.
    pub(super) fn at(path: &Path, error: &Error) -> Self {
        let error = error.without_snippet();
        let position = error.location().filter(|at| at.line() > 0);
        let position = position.map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        Self { place: format!("{}{position}", path.display()), message: describe(error) }
    }

    /// An error about a whole file.
    pub(super) fn in_file(path: &Path, error: &dyn fmt::Display) -> Self {
        Self { place: path.display().to_string(), message: error.to_string() }
    }

    /// An error in an option of the command line.
    pub(super) fn in_option(option: &str, error: &dyn fmt::Display) -> Self {
        Self { place: format!("-o {option}"), message: error.to_string() }
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key '{key}' is given twice"),
        Error::Message { msg, .. } => msg.clone(),
        other => plain(other),
    }
}

/// The library's own words, without its position.
fn plain(error: &Error) -> String {
    let text = error.render_with_options(RenderOptions::default());
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.split(" at line ").next().unwrap_or(text);
    let plainer = PLAINER.iter().find(|(theirs, _)| text == *theirs);
    plainer.map_or(text, |(_, ours)| ours).to_owned()
}

/// serde's words for an unknown key in ours, with the nearest known one.
pub(super) fn with_suggestion(message: &str) -> String {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let Some((field, rest)) = unknown else { return message.to_owned() };
    let expected: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    unknown_key(field, &expected)
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let score = |known: &&str| (strsim::jaro_winkler(key, known), (*known).to_owned());
    let nearest = known.iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY) {
        Some((_, nearest)) => format!("unknown key '{key}': did you mean '{nearest}'?"),
        None => format!("unknown key '{key}': 'saker-agent --config-schema' lists the known ones"),
    }
}
