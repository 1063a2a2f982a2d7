//! The words of a condition (specification §2). The language has no separate token stream: what a
//! word is depends on where it stands, so the parser asks for what may come next.

use std::ops::Range;

use crate::{diagnostic::TextError, literal};

/// A place in the text, and the last word read.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'t> {
    text: &'t str,
    pos: usize,
    last: Range<usize>,
}

/// Blanks between words.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x08 | b'\r' | b'\n')
}

/// What a value without quotes may hold.
pub(crate) const fn is_bare(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'"' | b'\'' | b'=' | b',')
}

/// What a field argument without quotes may hold.
pub(crate) const fn is_bare_arg(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'[' | b']' | b'"' | b'\'')
}

/// What ends a word without quotes: a backspace does not.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'t> Lexer<'t> {
    pub(crate) const fn new(text: &'t str) -> Self {
        Self { text, pos: 0, last: 0..0 }
    }

    /// Bytes from the start.
    pub(crate) const fn pos(&self) -> usize {
        self.pos
    }

    /// The text of the last word read.
    pub(crate) fn last(&self) -> &'t str {
        self.text.get(self.last.clone()).unwrap_or_default()
    }

    pub(crate) fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> TextError {
        TextError::new(message, self.pos)
    }

    /// Skips blanks; whether there were any.
    pub(crate) fn blanks(&mut self) -> bool {
        let count = self.rest().bytes().take_while(|b| is_blank(*b)).count();
        self.pos = self.pos.saturating_add(count);
        count > 0
    }

    /// Reads exactly this text.
    pub(crate) fn token(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    /// Reads this word if one of `follow` stands behind it, which stays unread.
    pub(crate) fn word_before(&mut self, word: &str, follow: impl Fn(u8) -> bool) -> bool {
        let next = self.rest().strip_prefix(word).and_then(|rest| rest.bytes().next());
        next.is_some_and(follow) && self.token(word)
    }

    /// `[a-zA-Z]+[a-zA-Z0-9_]*`.
    pub(crate) fn identifier(&mut self) -> Option<&'t str> {
        let length = identifier_length(self.rest());
        (length > 0).then(|| self.advance(length))
    }

    /// Identifiers with dots between them, at least one dot.
    pub(crate) fn field_name(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let mut length = identifier_length(rest);
        let mut dotted = false;
        while length > 0 {
            let Some(tail) = rest.get(length..).and_then(|t| t.strip_prefix('.')) else { break };
            let more = identifier_length(tail);
            if more == 0 {
                break;
            }
            dotted = true;
            length = length.saturating_add(more).saturating_add(1);
        }
        dotted.then(|| self.advance(length))
    }

    /// A value without quotes.
    pub(crate) fn bare(&mut self) -> Option<&'t str> {
        self.take_while(is_bare)
    }

    /// A field argument without quotes.
    pub(crate) fn bare_arg(&mut self) -> Option<&'t str> {
        self.take_while(is_bare_arg)
    }

    /// A hexadecimal or decimal number, as written.
    pub(crate) fn number(&mut self) -> Option<&'t str> {
        let length = hex_length(self.rest()).or_else(|| decimal_length(self.rest()))?;
        Some(self.advance(length))
    }

    /// A text in quotes, unescaped.
    pub(crate) fn quoted(&mut self) -> Result<Option<Vec<u8>>, TextError> {
        let Some(quote @ (b'"' | b'\'')) = self.peek() else { return Ok(None) };
        let rest = self.rest();
        let mut previous = quote;
        for (at, byte) in rest.bytes().enumerate().skip(1) {
            if byte == quote && previous != b'\\' {
                let inner = rest.get(1..at).unwrap_or_default();
                let text = literal::unescape(inner, quote).map_err(|message| self.error(message))?;
                self.advance(at.saturating_add(1));
                return Ok(Some(text));
            }
            previous = byte;
        }
        Err(self.error("expected a string delimiter: the quoted string does not end"))
    }

    fn take_while(&mut self, allowed: impl Fn(u8) -> bool) -> Option<&'t str> {
        let length = self.rest().bytes().take_while(|b| allowed(*b)).count();
        (length > 0).then(|| self.advance(length))
    }

    fn advance(&mut self, length: usize) -> &'t str {
        let end = self.pos.saturating_add(length);
        self.last = self.pos..end;
        self.pos = end;
        self.last()
    }
}

fn identifier_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    text.bytes().take_while(|b| is_word(*b)).count()
}

/// `0[xX][0-9a-fA-F]+`.
fn hex_length(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let count = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
    (count > 0).then(|| count.saturating_add(2))
}

/// `[+-]?[0-9]+[.]?[0-9]*([eE][+-][0-9]+)?`.
fn decimal_length(text: &str) -> Option<usize> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = skip_digits(unsigned)?;
    let fraction = whole.strip_prefix('.').map_or(whole, |f| skip_digits(f).unwrap_or(f));
    let exponent = fraction
        .strip_prefix(['e', 'E'])
        .and_then(|e| e.strip_prefix(['+', '-']))
        .and_then(skip_digits)
        .unwrap_or(fraction);
    Some(text.len().saturating_sub(exponent.len()))
}

/// What follows the digits at the start, if there are any.
fn skip_digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}
