//! YAML text to nodes with positions. The parsing is `saphyr-parser`'s; this builds the tree.
//!
//! Scalars keep their raw text (`0777`, `yes` and `=` are strings, specification §1.1). Aliases share
//! the node they name and count as many events as it has, so a bomb meets the limit early.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use crate::limits::{MAX_FILE_BYTES, MAX_REPARSED_BYTES, MAX_YAML_DEPTH, MAX_YAML_EVENTS};

/// A position in a file, counted from 0; columns in characters, the offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) offset: usize,
}

impl Mark {
    /// The position behind `c`, when it stands here.
    pub(crate) fn after(self, c: char) -> Self {
        let offset = self.offset.saturating_add(c.len_utf8());
        match c {
            '\n' => Self { line: self.line.saturating_add(1), column: 0, offset },
            _ => Self { column: self.column.saturating_add(1), offset, ..self },
        }
    }
}

/// A value and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
    /// Events it took; at least 1.
    events: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar(Arc<str>),
    Sequence(Arc<[Node]>),
    /// Keys that are no scalars are left out: no rule can mean them.
    Map(Arc<[(Key, Node)]>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: Arc<str>,
    pub(crate) mark: Mark,
}

/// Why a text is no YAML, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) mark: Mark,
}

impl Node {
    /// The value of a key of a map; the first one if it is there twice.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| &*k.text == key).map(|(_, node)| node)
    }

    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

/// The documents of a file.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let fail = |mark, message: String| Err(YamlError { message, mark });
    if text.len() > MAX_FILE_BYTES {
        return fail(Mark::default(), format!("the file has more than {MAX_FILE_BYTES} bytes"));
    }
    if let Some(mark) = control_character(text) {
        return fail(mark, "control characters are not allowed: is this a text file?".to_owned());
    }
    let mut padded = Padded { text: text.into(), lines: BTreeMap::new(), parsed: 0 };
    loop {
        let mut builder = Builder::new(&padded);
        match builder.run() {
            Ok(()) => return Ok(builder.documents),
            Err(failure) => match failure.outdented {
                Some((line, columns)) => padded = padded.pad(line, columns).ok_or(failure.error)?,
                None => return Err(failure.error),
            },
        }
    }
}

/// A text in which lines inside `[…]` and `{…}` were moved to the right. YAML wants such lines deeper
/// than the key they belong to and `saphyr-parser` insists on it; yaml-cpp does not care, nor do the
/// rules files that people have, which close a list below its key.
struct Padded<'a> {
    text: Cow<'a, str>,
    /// Per line, how many blanks were put in front.
    lines: BTreeMap<usize, usize>,
    /// Bytes read in all attempts.
    parsed: usize,
}

impl Padded<'_> {
    /// Moves one more line, unless too much has been read already.
    fn pad(mut self, line: usize, columns: usize) -> Option<Self> {
        let start: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        self.parsed = self.parsed.saturating_add(self.text.len());
        if self.parsed > MAX_REPARSED_BYTES || self.lines.insert(line, columns).is_some() {
            return None;
        }
        let (before, after) = self.text.split_at_checked(start)?;
        self.text = Cow::Owned(format!("{before}{}{after}", " ".repeat(columns)));
        Some(self)
    }

    /// The same place before anything was moved.
    fn original(&self, mark: Mark) -> Mark {
        let here = self.lines.get(&mark.line).copied().unwrap_or(0);
        let all: usize = self.lines.range(..=mark.line).map(|(_, columns)| columns).sum();
        let (column, offset) = (mark.column.saturating_sub(here), mark.offset.saturating_sub(all));
        Mark { column, offset, ..mark }
    }
}

/// Why a text could not be read, and the line to move, with how far, if that may help.
struct Failure {
    error: YamlError,
    outdented: Option<(usize, usize)>,
}

impl From<YamlError> for Failure {
    fn from(error: YamlError) -> Self {
        Self { error, outdented: None }
    }
}

/// What to do about a text that is no YAML.
pub(crate) fn help(message: &str) -> &'static str {
    const HELP: [(&str, &str); 10] = [
        ("found a tab", "indent with blanks, not with tabs"),
        ("tabs", "indent with blanks, not with tabs"),
        ("unexpected character", "put quotes around a value that begins with this character"),
        ("illegal map value", "put quotes around a value that holds ': ', or mend the indentation"),
        ("unknown anchor", "put quotes around a value that begins with *"),
        ("quoted scalar", "end the quotes, and double or escape a quote within them"),
        ("expected ':'", "a key ends with ': ', an item begins with '- '"),
        ("simple key expect ':'", "a key ends with ': ', an item begins with '- '"),
        ("block", "put the keys of an item below each other, deeper than its '- '"),
        ("flow", "close the bracket"),
    ];
    HELP.iter().find(|(words, _)| message.contains(words)).map_or("", |(_, help)| help)
}

/// Where the first character stands that YAML forbids. The parser would take NUL for the end.
fn control_character(text: &str) -> Option<Mark> {
    let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let offset = text.find(bad)?;
    Some(text.get(..offset)?.chars().fold(Mark::default(), Mark::after))
}

/// A sequence or map that is not complete.
struct Open {
    mark: Mark,
    anchor: usize,
    events: usize,
    map: bool,
    /// Whether it is written in brackets.
    flow: bool,
    children: Vec<Node>,
}

struct Builder<'a> {
    padded: &'a Padded<'a>,
    cursor: Cursor<'a>,
    open: Vec<Open>,
    anchors: FxHashMap<usize, Node>,
    events: usize,
    documents: Vec<Node>,
}

impl<'a> Builder<'a> {
    fn new(padded: &'a Padded<'a>) -> Self {
        let cursor = Cursor { text: &padded.text, chars: 0, bytes: 0 };
        Self {
            padded,
            cursor,
            open: Vec::new(),
            anchors: FxHashMap::default(),
            events: 0,
            documents: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Failure> {
        for event in Parser::new_from_str(&self.padded.text) {
            match event {
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    fn failure(&mut self, error: &ScanError) -> Failure {
        let mark = self.mark(error.marker());
        let inside =
            self.open.last().filter(|open| open.flow && error.info().starts_with("invalid indentation"));
        let outdented = inside.map(|open| (mark.line, open.mark.column.saturating_add(1)));
        Failure { error: YamlError { message: words(error.info(), mark), mark }, outdented }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let mark = self.mark(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, mark)?;
                let null = style == ScalarStyle::Plain && tag.is_none() && is_null(&text);
                let value = if null { Value::Null } else { Value::Scalar(text.into()) };
                self.complete(Node { mark, value, events: 1 }, anchor);
            }
            Event::SequenceStart(anchor, _) => self.start(mark, anchor, false)?,
            Event::MappingStart(anchor, _) => self.start(mark, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(mark, anchor)?,
            Event::DocumentStart(_) => self.anchors.clear(),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, mark: Mark, anchor: usize, map: bool) -> Result<(), YamlError> {
        if self.open.len() >= MAX_YAML_DEPTH {
            let message = format!("nested deeper than {MAX_YAML_DEPTH} levels");
            return Err(YamlError { message, mark });
        }
        self.count(1, mark)?;
        let flow = self.cursor.rest().starts_with(['[', '{']);
        self.open.push(Open { mark, anchor, events: 1, map, flow, children: Vec::new() });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { mark, anchor, events, map, children, .. }) = self.open.pop() else { return };
        let value = if map { Value::Map(pairs(children)) } else { Value::Sequence(children.into()) };
        self.complete(Node { mark, value, events }, anchor);
    }

    fn alias(&mut self, mark: Mark, anchor: usize) -> Result<(), YamlError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias inside the value that it names".to_owned();
            return Err(YamlError { message, mark });
        };
        self.count(node.events, mark)?;
        self.complete(Node { mark, ..node }, 0);
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => {
                open.events = open.events.saturating_add(node.events);
                open.children.push(node);
            }
            None => self.documents.push(node),
        }
    }

    /// Counts a scalar, the start of a collection, or an alias with all that it stands for.
    fn count(&mut self, events: usize, mark: Mark) -> Result<(), YamlError> {
        self.events = self.events.saturating_add(events);
        if self.events > MAX_YAML_EVENTS {
            let message = format!("more than {MAX_YAML_EVENTS} values, aliases expanded");
            return Err(YamlError { message, mark });
        }
        Ok(())
    }

    fn mark(&mut self, marker: &Marker) -> Mark {
        let offset = self.cursor.byte(marker.index());
        self.padded.original(Mark { line: marker.line().saturating_sub(1), column: marker.col(), offset })
    }
}

/// Keys and values in turns.
fn pairs(children: Vec<Node>) -> Arc<[(Key, Node)]> {
    let mut children = children.into_iter();
    let mut entries = Vec::new();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        if let Value::Scalar(text) = key.value {
            entries.push((Key { text, mark: key.mark }, value));
        }
    }
    entries.into()
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Turns the parser's character counts into byte offsets; they come nearly in order.
struct Cursor<'a> {
    text: &'a str,
    chars: usize,
    bytes: usize,
}

impl<'a> Cursor<'a> {
    /// The text from the last mark on.
    fn rest(&self) -> &'a str {
        self.text.get(self.bytes..).unwrap_or_default()
    }

    fn byte(&mut self, chars: usize) -> usize {
        while self.chars < chars {
            let Some(next) = self.rest().chars().next() else { break };
            self.bytes = self.bytes.saturating_add(next.len_utf8());
            self.chars = self.chars.saturating_add(1);
        }
        while self.chars > chars {
            let Some(last) = self.text.get(..self.bytes).and_then(|t| t.chars().next_back()) else { break };
            self.bytes = self.bytes.saturating_sub(last.len_utf8());
            self.chars = self.chars.saturating_sub(1);
        }
        self.bytes
    }
}

/// The words of yaml-cpp, which people know from Falco, for the slip they make most: a colon too many.
fn words(error: &str, mark: Mark) -> String {
    if error != "mapping values are not allowed in this context" {
        return error.to_owned();
    }
    let (line, column) = (mark.line.saturating_add(1), mark.column.saturating_add(1));
    format!("yaml-cpp: error at line {line}, column {column}: illegal map value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> YamlError {
        documents(text).expect_err(text)
    }

    fn scalar(node: Option<&Node>) -> &str {
        match &node.unwrap().value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let docs =
            documents("# é\n- a: 0777\n  b: \"yes\"\n  é: =\n  n: ~\n  q: \"\"\n---\n---\n[x]\n").unwrap();
        assert_eq!(docs.len(), 3);
        let Value::Sequence(items) = &docs[0].value else { panic!() };
        let item = &items[0];
        assert_eq!(item.mark, Mark { line: 1, column: 2, offset: 7 });
        assert_eq!(scalar(item.get("a")), "0777");
        assert_eq!(item.get("a").unwrap().mark, Mark { line: 1, column: 5, offset: 10 });
        assert_eq!(scalar(item.get("b")), "yes");
        assert_eq!(scalar(item.get("é")), "=");
        assert_eq!(item.get("é").unwrap().mark, Mark { line: 3, column: 5, offset: 32 });
        assert!(item.get("n").unwrap().is_null());
        assert_eq!(scalar(item.get("q")), "");
        assert!(docs[1].is_null());
    }

    #[test]
    fn the_first_of_two_equal_keys_counts() {
        let docs = documents("{a: 1, a: 2}").unwrap();
        assert_eq!(scalar(docs[0].get("a")), "1");
    }

    #[test]
    fn aliases_are_followed() {
        let docs = documents("- &x [a, b]\n- *x\n").unwrap();
        let Value::Sequence(items) = &docs[0].value else { panic!() };
        assert!(matches!(&items[1].value, Value::Sequence(s) if s.len() == 2));
        assert_eq!(error("- &x [*x]").mark.column, 6);
    }

    #[test]
    fn bad_text_is_an_error_with_a_place() {
        assert_eq!(error("a\0b").mark.column, 1);
        let two_colons = error("- a: b\n- c : d : e\n");
        assert_eq!(two_colons.message, "yaml-cpp: error at line 2, column 9: illegal map value");
        assert_eq!(error("- a\n- b\u{1}").mark, Mark { line: 1, column: 3, offset: 7 });
        assert_eq!(error("- rule: x\n  desc: [a\n").mark.line, 2);
        assert_eq!(error("- rule: x\n\tdesc: y\n").mark.offset, 8);
        assert!(error(&"[".repeat(100_000)).message.len() < 200);
        assert!(error(&format!("{}x", "- ".repeat(100_000))).message.contains("nested deeper"));
        assert!(error(&"x".repeat(MAX_FILE_BYTES + 1)).message.contains("bytes"));
    }

    #[test]
    fn brackets_may_close_below_their_key() {
        let text = "- list: a\n  items: [\nx,\n  \"é\", y\n  ]\n- list: b\n  items: {k: v\n}\n- c\n";
        let docs = documents(text).unwrap();
        let Value::Sequence(items) = &docs[0].value else { panic!() };
        assert_eq!(items.len(), 3);
        let Value::Sequence(inner) = &items[0].get("items").unwrap().value else { panic!() };
        assert_eq!(inner[0].mark, Mark { line: 2, column: 0, offset: 21 });
        assert_eq!(inner[2].mark, Mark { line: 3, column: 7, offset: 32 });
        assert_eq!(items[2].mark.offset, text.len() - 2);
        assert!(error("- a: [\n- b: ]").message.len() > 5);
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut bomb = String::from("- &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.extend(["- &a", &i.to_string(), " [", &aliases, "]\n"]);
        }
        assert!(error(&bomb).message.contains("aliases expanded"));
    }
}
