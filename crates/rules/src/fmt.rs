//! Rules files in one layout. Lines move and are indented anew, their text stays: comments with them.
//!
//! An item's keys stand two columns in, what belongs to a key four; keys have one order; one blank line lies
//! between items; no line ends in blanks outside of block texts. The result is read and formatted again: if it says
//! anything else than the file did, or would move once more, the file is refused.

mod layout;
mod outline;

use std::collections::BTreeMap;

use crate::yaml::{self, Node, Value};
use outline::Outline;

/// Why a file cannot be formatted, and where: line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
pub struct Refused {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The reason, with what to do.
    pub reason: String,
}

impl Refused {
    /// At a line and column that count from 0.
    fn at(line: usize, column: usize, reason: impl Into<String>) -> Self {
        Self { line: line.saturating_add(1), column: column.saturating_add(1), reason: reason.into() }
    }
}

/// The same rules file in the one layout.
pub fn format(text: &str) -> Result<String, Refused> {
    let documents = read(text)?;
    if let Some((line, column)) = lone_return(text) {
        return Err(Refused::at(line, column, "a carriage return within a line: end lines with a line feed"));
    }
    let formatted = layout::write(&Outline::of(text, &documents)?);
    let again = read(&formatted).map_err(|error| {
        Refused::at(0, 0, format!("the layout of this file cannot be read again ({})", error.reason))
    })?;
    same_items(&documents, &again)?;
    kept_lines(text, &formatted)?;
    stable(text, &formatted, &layout::write(&Outline::of(&formatted, &again)?))?;
    Ok(formatted)
}

/// YAML takes it for the end of a line, editors do not.
fn lone_return(text: &str) -> Option<(usize, usize)> {
    let mut lines = text.lines().enumerate();
    lines.find_map(|(number, line)| Some((number, line.chars().position(|c| c == '\r')?)))
}

fn read(text: &str) -> Result<Vec<Node>, Refused> {
    yaml::documents(text).map_err(|error| Refused::at(error.mark.line, error.mark.column, error.message))
}

/// Whether the formatted file has the same items with the same values.
fn same_items(before: &[Node], after: &[Node]) -> Result<(), Refused> {
    let (before, after) = (outline::items(before), outline::items(after));
    if let Some(node) = before.iter().zip(&after).find(|(a, b)| !same(a, b)).map(|(a, _)| a) {
        let reason =
            "the item would mean something else when formatted: indent its values with blanks, plainly";
        return Err(Refused::at(node.mark.line, node.mark.column, reason));
    }
    if before.len() != after.len() {
        return Err(Refused::at(0, 0, "the file would have other items when formatted"));
    }
    Ok(())
}

/// Whether the formatted file has all lines.
fn kept_lines(text: &str, formatted: &str) -> Result<(), Refused> {
    lost_line(text, formatted).map_or(Ok(()), |(line, column)| {
        Err(Refused::at(line, column, "this line or comment could not be kept: move it to a line of its own"))
    })
}

/// Whether the layout stays as it is when it is formatted once more.
fn stable(text: &str, once: &str, twice: &str) -> Result<(), Refused> {
    let mut pairs = once.lines().zip(twice.lines());
    if once == twice {
        return Ok(());
    }
    let moved = pairs.find(|(once, twice)| once != twice).map(|(once, _)| bare(once));
    let line = text.lines().position(|line| Some(bare(line)) == moved).unwrap_or_default();
    Err(Refused::at(
        line,
        0,
        "this line would move each time the file is formatted: indent it as its neighbours",
    ))
}

/// Equal values, wherever they stand; the order of keys does not matter, except of equal ones.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(a), Value::Scalar(b)) => a == b,
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Map(_), Value::Map(_)) => {
            let (a, b) = (sorted(a), sorted(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        _ => false,
    }
}

fn sorted(map: &Node) -> Vec<(&str, &Node)> {
    let mut entries: Vec<_> = map.entries().iter().map(|(key, value)| (&*key.text, value)).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// The first line of a text that another one does not have, blanks and dashes aside.
fn lost_line(text: &str, formatted: &str) -> Option<(usize, usize)> {
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for line in formatted.lines() {
        let count = kept.entry(bare(line)).or_default();
        *count = count.saturating_add(1);
    }
    let lost = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).find(|(_, line)| {
        let count = kept.entry(bare(line)).or_default();
        let gone = *count == 0;
        *count = count.saturating_sub(1);
        gone
    });
    lost.map(|(number, line)| (number, line.find('#').unwrap_or_else(|| outline::indent(line))))
}

fn bare(line: &str) -> String {
    let line = line.trim();
    line.strip_prefix("- ").unwrap_or(line).split_whitespace().collect()
}
