//! The parts of a file, written.

use std::iter;

use super::outline::{Body, Item, KeyLines, Outline, Part, indent, is_comment};

/// Columns of keys and of what belongs to them.
const KEY: usize = 2;
const VALUE: usize = 4;

/// The order of keys in an item; other keys follow in their own order.
const ORDER: [&str; 20] = [
    "required_engine_version",
    "required_plugin_versions",
    "list",
    "items",
    "macro",
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "source",
    "tags",
    "enabled",
    "exceptions",
    "capture",
    "capture_duration",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
];

/// The whole file.
pub(super) fn write(outline: &Outline<'_>) -> String {
    let mut out = Vec::new();
    for part in &outline.parts {
        match part {
            Part::Gap(lines) => gap(lines, &mut out),
            Part::Item(item) => write_item(item, &mut out),
        }
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out.into_iter().map(|line| line + "\n").collect()
}

/// Comments, with one blank line before them and where there was at least one.
fn gap(lines: &[&str], out: &mut Vec<String>) {
    let above = if out.is_empty() { None } else { Some("") };
    for line in above.into_iter().chain(lines.iter().map(|line| line.trim())) {
        let blank_above = out.last().is_none_or(String::is_empty);
        if !line.is_empty() || !blank_above {
            out.push(line.to_owned());
        }
    }
}

fn write_item(item: &Item<'_>, out: &mut Vec<String>) {
    match &item.body {
        Body::Keys(keys) => write_keys(keys, out),
        Body::Other(lines, dash) => {
            for (i, line) in lines.iter().enumerate() {
                out.push(if i == 0 { format!("- {}", line.trim()) } else { shifted(line, *dash, 0) });
            }
        }
    }
    comments(&item.tail, KEY, out);
}

fn comments(lines: &[&str], column: usize, out: &mut Vec<String>) {
    let comments = lines.iter().filter(|line| !line.trim().is_empty());
    out.extend(comments.map(|line| format!("{}{}", " ".repeat(column), line.trim())));
}

fn write_keys(keys: &[KeyLines<'_>], out: &mut Vec<String>) {
    let mut keys: Vec<_> = keys.iter().collect();
    keys.sort_by_key(|key| ORDER.iter().position(|name| *name == key.name).unwrap_or(ORDER.len()));
    for (i, key) in keys.into_iter().enumerate() {
        comments(&key.lead, if i == 0 { 0 } else { KEY }, out);
        out.push(format!("{}{}", if i == 0 { "- " } else { "  " }, first_line(key)));
        rest(key, out);
    }
}

/// `key: value` with one blank between.
fn first_line(key: &KeyLines<'_>) -> String {
    let value = key.first.get(key.name.len()..).and_then(|rest| rest.trim_start().strip_prefix(':'));
    match value.map(str::trim) {
        Some("") => format!("{}:", key.name),
        Some(value) => format!("{}: {value}", key.name),
        None => key.first.trim_end().to_owned(),
    }
}

fn rest(key: &KeyLines<'_>, out: &mut Vec<String>) {
    let header = Header::of(key);
    let counts = |line: &&&str| !line.trim().is_empty() && (header.block || !is_comment(line));
    let from = if header.explicit {
        // The text's own columns count from the key's.
        key.column.saturating_add(VALUE).saturating_sub(KEY)
    } else {
        key.rest.iter().filter(counts).map(|line| indent(line)).min().unwrap_or(VALUE)
    };
    for line in &key.rest {
        out.push(match shifted(line, from, VALUE) {
            line if header.block => line,
            // Further left it would be a comment on the next key or item.
            line if is_comment(&line) && indent(&line) < VALUE => shifted(line.trim(), 0, VALUE),
            line => line.trim_end().to_owned(),
        });
    }
}

/// A line whose text moves as far as a text from column `from` to column `to`.
fn shifted(line: &str, from: usize, to: usize) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    let column = indent(line).saturating_add(to).saturating_sub(from);
    format!("{}{}", " ".repeat(column), line.trim_start_matches(' '))
}

/// How the text below a key is written.
struct Header {
    /// Somewhere a text begins with `|` or `>`: blanks at the end of lines are part of it.
    block: bool,
    /// The text says how far it is indented: `>2`.
    explicit: bool,
}

impl Header {
    fn of(key: &KeyLines<'_>) -> Self {
        let mut header = Self { block: false, explicit: false };
        let rest = key.rest.iter().filter(|line| !is_comment(line));
        for line in iter::once(&key.first).chain(rest) {
            let word = line.split_whitespace().take_while(|word| !word.starts_with('#')).last();
            let indicator = word.and_then(|word| word.strip_prefix(['|', '>']));
            if let Some(rest) =
                indicator.filter(|r| r.chars().all(|c| "+-".contains(c) || c.is_ascii_digit()))
            {
                header.block = true;
                header.explicit |= rest.contains(|c: char| c.is_ascii_digit());
            }
        }
        header
    }
}
