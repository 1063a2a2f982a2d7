//! Condition texts: pieces from several items, and the textual substitution of lists
//! (specification §1.5), with the way back from every byte to the file.

use std::borrow::Cow;

use crate::{
    diagnostic::{Code, Diagnostic, TextError},
    document::decode::Scalar,
    limits::MAX_CONDITION_BYTES,
    place::Place,
    yaml::Mark,
};

/// A condition as it was written, put together from one or more items.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) text: String,
    pieces: Pieces,
}

/// At least one piece.
#[derive(Debug, Clone)]
struct Pieces {
    first: Piece,
    more: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    start: usize,
    place: Place,
    /// Whether the file has this text at that place, not one that was made from it.
    verbatim: bool,
}

impl Written {
    /// The condition of one item.
    pub(crate) fn new(condition: Scalar) -> Self {
        let first = Piece { start: 0, place: condition.place, verbatim: true };
        Self { text: condition.text, pieces: Pieces { first, more: Vec::new() } }
    }

    /// Adds the condition of another item, after a blank.
    pub(crate) fn append(&mut self, condition: Scalar) {
        self.text.push(' ');
        self.pieces.more.push(Piece { start: self.text.len(), place: condition.place, verbatim: true });
        self.text.push_str(&condition.text);
    }

    /// Adds text that was made from something at `place`.
    pub(crate) fn push(&mut self, text: &str, place: &Place) {
        self.pieces.more.push(Piece { start: self.text.len(), place: place.clone(), verbatim: false });
        self.text.push_str(text);
    }

    /// `(text)`.
    pub(crate) fn in_parentheses(mut self) -> Self {
        let Pieces { first, more } = &mut self.pieces;
        for piece in std::iter::once(first).chain(more) {
            piece.start = piece.start.saturating_add(1);
        }
        self.text = format!("({})", self.text);
        self
    }

    /// A diagnostic about the byte at `offset`; `kind` is what the text is called in its locations.
    pub(crate) fn diagnostic(&self, kind: &'static str, code: Code, error: TextError) -> Diagnostic {
        let mut diagnostic = self.place(kind, error.offset).diagnostic(code, error.message);
        diagnostic.help = error.help;
        diagnostic
    }

    /// Where the byte at `offset` was written.
    fn place(&self, kind: &'static str, offset: usize) -> Place {
        let Pieces { first, more } = &self.pieces;
        let piece = more.iter().rev().find(|p| p.start <= offset).unwrap_or(first);
        if !piece.verbatim {
            return piece.place.clone();
        }
        let before = self.text.get(piece.start..offset).unwrap_or_default();
        let at_end = self.text.get(offset..).is_none_or(|rest| rest.trim().is_empty());
        let mark = align(piece.place.source().text(), piece.place.mark(), before, at_end);
        piece.place.step(kind, "", mark)
    }
}

/// Finds the place in the file at which `before` ends, which was written from `start` on, or `start`
/// if the two differ in more than blanks, as in quotes with escapes.
fn align(file: &str, start: Mark, before: &str, at_end: bool) -> Mark {
    let mut walk = Walk { rest: file.get(start.offset..).unwrap_or_default(), mark: start };
    match walk.rest.chars().next() {
        Some('>' | '|') => walk.line(),
        Some('"' | '\'') => walk.step(),
        _ => {}
    }
    for wanted in before.chars().filter(|c| !c.is_whitespace()) {
        walk.blanks();
        if !walk.rest.starts_with(wanted) {
            return start;
        }
        walk.step();
    }
    if !at_end {
        walk.blanks();
    }
    walk.mark
}

/// A way through a file, character by character.
struct Walk<'a> {
    rest: &'a str,
    mark: Mark,
}

impl Walk<'_> {
    fn step(&mut self) {
        let mut chars = self.rest.chars();
        if let Some(c) = chars.next() {
            self.rest = chars.as_str();
            self.mark = self.mark.after(c);
        }
    }

    fn blanks(&mut self) {
        while self.rest.starts_with(char::is_whitespace) {
            self.step();
        }
    }

    fn line(&mut self) {
        while !self.rest.is_empty() && !self.rest.starts_with('\n') {
            self.step();
        }
    }
}

/// A condition in which the names of lists give way to their items.
#[derive(Debug)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    written: Written,
    /// Per byte of `text`, the byte of `written` that it comes from; empty while both are the same.
    origin: Vec<u32>,
}

impl Expanded {
    /// Before any substitution.
    pub(crate) fn new(written: Written) -> Self {
        Self { text: written.text.clone(), written, origin: Vec::new() }
    }

    /// The words of the text: a name that stands alone is one of them, or begins with one.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        words(&self.text)
    }

    /// Whether the name of a list is there.
    pub(crate) fn names(&self, list: &str) -> bool {
        self.find(list).is_some()
    }

    /// Where the name of a list stands first.
    pub(crate) fn find(&self, list: &str) -> Option<usize> {
        find_name(&self.text, list, 0)
    }

    /// Puts the items of a list in the place of its name. Says whether the name was there.
    pub(crate) fn substitute(&mut self, name: &str, items: &[String]) -> Result<bool, TextError> {
        let Some(first) = find_name(&self.text, name, 0) else { return Ok(false) };
        let items = items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", ");
        let mut output = Output::default();
        let (mut from, mut next) = (0, Some(first));
        while let Some(at) = next {
            output.copy(self, from..at);
            output.trim_end();
            from = self.skip_blanks(at.saturating_add(name.len()));
            if items.is_empty() && !output.drop_comma() && self.text.as_bytes().get(from) == Some(&b',') {
                from = from.saturating_add(1);
            }
            let origin = self.origin(at);
            output.insert(if output.text.is_empty() { "" } else { " " }, origin);
            output.insert(&items, origin);
            output.insert(" ", origin);
            if output.text.len() > MAX_CONDITION_BYTES {
                return Err(too_long());
            }
            next = find_name(&self.text, name, from);
        }
        output.copy(self, from..self.text.len());
        (self.text, self.origin) = (output.text, output.origin);
        Ok(true)
    }

    fn skip_blanks(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        from.saturating_add(rest.iter().take_while(|b| is_blank(**b)).count())
    }

    /// The byte of what was written that the byte at `offset` comes from.
    fn origin(&self, offset: usize) -> u32 {
        let same = || u32::try_from(offset).unwrap_or(u32::MAX);
        let end = || u32::try_from(self.written.text.len()).unwrap_or(u32::MAX);
        if self.origin.is_empty() { same() } else { self.origin.get(offset).copied().unwrap_or_else(end) }
    }

    /// A diagnostic at a byte of the text.
    pub(crate) fn diagnostic(&self, code: Code, mut error: TextError) -> Diagnostic {
        error.offset = usize::try_from(self.origin(error.offset)).unwrap_or(usize::MAX);
        self.written.diagnostic("condition expression", code, error)
    }
}

/// The text under construction with the origin of each byte.
#[derive(Default)]
struct Output {
    text: String,
    origin: Vec<u32>,
}

impl Output {
    fn copy(&mut self, from: &Expanded, range: std::ops::Range<usize>) {
        self.text.push_str(from.text.get(range.clone()).unwrap_or_default());
        self.origin.extend(range.map(|offset| from.origin(offset)));
    }

    fn insert(&mut self, text: &str, origin: u32) {
        self.text.push_str(text);
        self.origin.resize(self.text.len(), origin);
    }

    fn trim_end(&mut self) {
        let kept = self.text.trim_end_matches([' ', '\t', '\n', '\r']).len();
        self.text.truncate(kept);
        self.origin.truncate(kept);
    }

    /// Takes a comma from the end. Says whether there was one.
    fn drop_comma(&mut self) -> bool {
        let comma = self.text.ends_with(',');
        if comma {
            self.text.pop();
            self.origin.pop();
        }
        comma
    }
}

fn too_long() -> TextError {
    let message = format!("with its lists the condition has more than {MAX_CONDITION_BYTES} bytes");
    TextError::new(message, 0).help("split the rule or shorten its lists".to_owned())
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What stands between blanks, `(`, `)`, `,`, `=` and the ends.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && ends_word(c as u8)).filter(|word| !word.is_empty())
}

const fn ends_word(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'(' | b')' | b',' | b'=')
}

/// The next place of a name that stands alone: between blanks, `(`, `)`, `,`, `=` and the ends.
fn find_name(text: &str, name: &str, from: usize) -> Option<usize> {
    let alone = |byte: Option<&u8>| byte.is_none_or(|b| ends_word(*b));
    let bytes = text.as_bytes();
    let mut finds = memchr::memmem::find_iter(bytes.get(from..)?, name).map(|at| at.saturating_add(from));
    finds.find(|at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        alone(before) && alone(bytes.get(at.saturating_add(name.len())))
    })
}

/// An item as it stands in a condition: in quotes if it has a blank and no quote of its own in front.
pub(crate) fn quote(item: &str) -> Cow<'_, str> {
    if item.contains(' ') && !item.starts_with(['"', '\'']) {
        return Cow::Owned(format!("\"{item}\""));
    }
    Cow::Borrowed(item)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source_file::SourceFile;

    fn written(file: &str, offset: usize, text: &str) -> Written {
        let place = Place::file(Arc::new(SourceFile::new("f", file)));
        let before = &file[..offset];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap().len();
        Written::new(Scalar { text: text.into(), place: place.step("x", "", Mark { line, column, offset }) })
    }

    fn check(text: &str, name: &str, items: &[&str], expected: &str) {
        let items: Vec<_> = items.iter().map(ToString::to_string).collect();
        let mut expanded = Expanded::new(written(text, 0, text));
        let used = expanded.substitute(name, &items).unwrap();
        assert_eq!(used, text != expected, "{text}");
        let squeeze = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&expanded.text), squeeze(expected), "{text}");
        assert!(expanded.origin.is_empty() || expanded.origin.len() == expanded.text.len());
    }

    #[test]
    fn lists_are_text() {
        check("a in (l)", "l", &["x", "y z"], "a in ( x, \"y z\" )");
        check("a in (l, l)", "l", &["x"], "a in ( x , x )");
        check("a in l", "l", &["x"], "a in x ");
        check("a=l", "l", &["x"], "a= x ");
        check("a = \"some l here\"", "l", &["x"], "a = \"some x here\"");
        check("a in (ll, l.l, \"l\")", "l", &["x"], "a in (ll, l.l, \"l\")");
        check("a in (l, b)", "l", &[], "a in (  b)");
        check("a in (b, l)", "l", &[], "a in (b  )");
        check("a in (b, l, c)", "l", &[], "a in (b , c)");
        check("l", "l", &["'a b'", "\"c d\""], "'a b', \"c d\" ");
    }

    #[test]
    fn growth_is_bounded() {
        let text = "(l) ".repeat(1000);
        let mut expanded = Expanded::new(written(&text, 0, &text));
        assert!(expanded.substitute("l", &["x".repeat(MAX_CONDITION_BYTES / 100)]).is_err());
    }

    #[test]
    fn every_byte_knows_where_it_was_written() {
        let file = "- macro: m\n  condition: >\n    a in (l)\n    and  b\n  x: y\n";
        let mut expanded = Expanded::new(written(file, file.find('>').unwrap(), "a in (l) and  b\n"));
        let place = |expanded: &Expanded, needle: &str| {
            let (offset, message) = (expanded.text.find(needle).unwrap(), String::new());
            let error = TextError::new(message, offset);
            let found = expanded.diagnostic(Code::LoadErrValidate, error);
            let at = &found.locations.last().unwrap().position;
            (at.line, at.column)
        };
        assert_eq!(place(&expanded, "b"), (3, 9));
        assert!(expanded.substitute("l", &["long".into(), "longer".into()]).unwrap());
        assert_eq!(place(&expanded, "longer"), (2, 10));
        assert_eq!(place(&expanded, "and"), (3, 4));
        assert_eq!(place(&expanded, "b"), (3, 9));
    }
}
