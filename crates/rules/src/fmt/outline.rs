//! Which lines of a file belong to which item and key.

use std::ops::Range;

use super::Refused;
use crate::yaml::{Node, Value};

/// A file in parts. Every line that is not blank is in exactly one of them.
pub(super) struct Outline<'a> {
    pub(super) parts: Vec<Part<'a>>,
}

pub(super) enum Part<'a> {
    /// Comments, blank lines and marks of documents between items.
    Gap(Vec<&'a str>),
    Item(Item<'a>),
}

/// One item.
pub(super) struct Item<'a> {
    pub(super) body: Body<'a>,
    /// Comments behind its last key that are indented.
    pub(super) tail: Vec<&'a str>,
}

pub(super) enum Body<'a> {
    /// Keys on lines of their own.
    Keys(Vec<KeyLines<'a>>),
    /// Something else: its lines, the first without the dash, and the column of the dash.
    Other(Vec<&'a str>, usize),
}

/// One key of an item.
pub(super) struct KeyLines<'a> {
    pub(super) name: String,
    /// The column of the key.
    pub(super) column: usize,
    /// Comments above it.
    pub(super) lead: Vec<&'a str>,
    /// From the key on.
    pub(super) first: &'a str,
    /// The lines that belong to it.
    pub(super) rest: Vec<&'a str>,
}

/// The entries of all documents.
pub(super) fn items(documents: &[Node]) -> Vec<&Node> {
    let entries = documents.iter().map(|document| match &document.value {
        Value::Sequence(entries) => &**entries,
        _ => &[],
    });
    entries.flatten().collect()
}

/// Blanks at the start of a line.
pub(super) fn indent(line: &str) -> usize {
    line.len().saturating_sub(line.trim_start_matches(' ').len())
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

impl<'a> Outline<'a> {
    pub(super) fn of(text: &'a str, documents: &[Node]) -> Result<Self, Refused> {
        let stray = documents.iter().find(|d| !matches!(d.value, Value::Sequence(_) | Value::Null));
        if let Some(stray) = stray {
            let reason = "a rules file is a list of items: `- rule: …`";
            return Err(Refused::at(stray.mark.line, stray.mark.column, reason));
        }
        let lines = Lines(text.lines().collect());
        let items = items(documents);
        let ends = items.iter().skip(1).map(|item| item.mark.line).chain([lines.0.len()]);
        let mut parts = Vec::new();
        let mut done = 0;
        for (item, end) in items.iter().zip(ends) {
            let dash = lines.dash(item)?;
            parts.push(Part::Gap(lines.range(done..item.mark.line)));
            let (content, tail) = lines.content(item.mark.line..end, item, dash);
            parts.push(Part::Item(Item {
                body: lines.body(item, dash, content.clone()),
                tail: lines.range(content.end..tail),
            }));
            done = tail;
        }
        parts.push(Part::Gap(lines.range(done..lines.0.len())));
        Ok(Self { parts })
    }
}

struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn get(&self, line: usize) -> &'a str {
        self.0.get(line).copied().unwrap_or_default()
    }

    fn range(&self, range: Range<usize>) -> Vec<&'a str> {
        self.0.get(range).unwrap_or_default().to_vec()
    }

    /// The column of the dash before an item.
    fn dash(&self, item: &Node) -> Result<usize, Refused> {
        let line = self.get(item.mark.line);
        let before: String = line.chars().take(item.mark.column).collect();
        if before.trim() == "-" && !before.contains('\t') {
            return Ok(indent(&before));
        }
        let above = self.0.get(..item.mark.line).unwrap_or_default().iter().enumerate().rev();
        let comment = above
            .take_while(|(_, line)| {
                line.trim().is_empty() || is_comment(line) || line.trim().starts_with("- #")
            })
            .find(|(_, line)| line.trim().starts_with("- #"));
        Err(match comment {
            Some((number, line)) => Refused::at(
                number,
                line.find('#').unwrap_or(0),
                "the comment between the dash and its item cannot be kept: move it above the dash",
            ),
            None => {
                let reason = "an item must begin on the line of its dash, and files must not be in [ ]";
                Refused::at(item.mark.line, item.mark.column, reason)
            }
        })
    }

    /// The lines of an item, and where the comments below it end that belong to it.
    fn content(&self, range: Range<usize>, item: &Node, dash: usize) -> (Range<usize>, usize) {
        let column = if item.entries().is_empty() { dash } else { item.mark.column };
        let end = self.trimmed(range.clone(), column);
        let behind = end..range.end;
        let mut tail = end;
        for line in behind {
            let text = self.get(line);
            if is_comment(text) && indent(text) > dash {
                tail = line.saturating_add(1);
            }
        }
        (range.start..end, tail)
    }

    /// The end of a range without the blank lines, comments and marks of documents at its end. A deeper
    /// `#` than `column` may be text of a block.
    fn trimmed(&self, range: Range<usize>, column: usize) -> usize {
        let idle = |line: &str| {
            let document = ["---", "...", "%"].iter().any(|mark| line.starts_with(mark));
            line.trim().is_empty() || document || is_comment(line) && indent(line) <= column
        };
        let first = range.start.saturating_add(1);
        (first..range.end)
            .rev()
            .find(|line| !idle(self.get(*line)))
            .map_or(first, |line| line.saturating_add(1))
    }

    fn body(&self, item: &Node, dash: usize, content: Range<usize>) -> Body<'a> {
        let other = || {
            let mut lines = self.range(content.clone());
            if let Some(first) = lines.first_mut() {
                *first = first.get(dash.saturating_add(1)..).unwrap_or_default();
            }
            Body::Other(lines, dash)
        };
        self.keys(item, content.clone()).map_or_else(other, Body::Keys)
    }

    /// The keys, if each stands on a line of its own, all in one column.
    fn keys(&self, item: &Node, content: Range<usize>) -> Option<Vec<KeyLines<'a>>> {
        let marks: Vec<_> = item.entries().iter().map(|(key, _)| (key.text.to_string(), key.mark)).collect();
        let ends = marks.iter().skip(1).map(|(_, mark)| mark.line).chain([content.end]);
        let mut keys: Vec<KeyLines<'a>> = Vec::new();
        let mut lead = Vec::new();
        for ((name, mark), end) in marks.iter().zip(ends) {
            let plain = self.get(mark.line).get(mark.column..)?;
            let alone = keys.is_empty() == (mark.line == content.start);
            if mark.column != item.mark.column
                || !alone
                || end <= mark.line
                || !plain.starts_with(name.as_str())
            {
                return None;
            }
            let below = self.trimmed(mark.line..end, mark.column);
            let rest = self.range(mark.line.saturating_add(1)..below);
            let (name, column) = (name.clone(), mark.column);
            keys.push(KeyLines { name, column, lead, first: plain, rest });
            lead = self.range(below..end);
        }
        Some(keys).filter(|keys| !keys.is_empty())
    }
}
