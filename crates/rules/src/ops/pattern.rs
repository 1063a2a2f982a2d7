//! `regex`: RE2's POSIX syntax, translated for the `regex` crate. POSIX syntax has no `\d`, `\w`, `\b`, no
//! `(?…)` and no lazy repetition: `a*?` is `(a*)?`. The whole text must match.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use crate::limits::MAX_REGEX_BYTES;

/// Most repetitions of `{n,m}`, as in RE2.
const MAX_REPEAT: u32 = 1000;

/// Bytes that most patterns need at most.
const SMALL: usize = 8 << 10;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Bound on its compiled size, bytes; at most twice as much as it is.
    size: usize,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn new(pattern: &[u8]) -> Result<Self, String> {
        let refused = |why: &str| {
            let shown = String::from_utf8_lossy(pattern);
            format!("invalid regular expression '{shown}': {why}")
        };
        let text = std::str::from_utf8(pattern).map_err(|_| refused("it is not UTF-8"))?;
        let body = Translator::default().run(text).map_err(|why| refused(&why))?;
        let body = format!(r"\A(?:{body})\z");
        // The crate does not tell how large a pattern is, only whether it fits.
        let mut size = SMALL;
        loop {
            match RegexBuilder::new(&body).multi_line(true).size_limit(size).build() {
                Ok(regex) => return Ok(Self { regex, size }),
                Err(regex::Error::CompiledTooBig(_)) if size < MAX_REGEX_BYTES => {
                    size = size.saturating_mul(2);
                }
                Err(error) => return Err(refused(&last_line(&error))),
            }
        }
    }

    /// Bound on its compiled size, bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether all of the text matches; what is not UTF-8 counts as U+FFFD.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(&String::from_utf8_lossy(text))
    }
}

/// The errors of the crate draw the pattern; the reason is in the last line.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

type Rest<'t> = Peekable<Chars<'t>>;

#[derive(Default)]
struct Translator {
    out: String,
    /// Where the last thing that can be repeated starts.
    atom: Option<usize>,
    /// It is repeated already.
    repeated: bool,
    /// Where the open groups start.
    groups: Vec<usize>,
}

impl Translator {
    fn run(mut self, pattern: &str) -> Result<String, String> {
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '(' => self.open(),
                ')' => self.close()?,
                '|' => self.alternate(),
                '*' | '+' | '?' => self.repeat(&c.to_string())?,
                '{' => self.brace(&mut rest)?,
                '[' => {
                    let set = set(&mut rest)?;
                    self.atom(&set);
                }
                '.' | '^' | '$' => self.atom(&c.to_string()),
                '\\' => {
                    let literal = escape(&mut rest)?;
                    self.atom(&literal);
                }
                c => self.atom(&quote(c)),
            }
        }
        if self.groups.is_empty() { Ok(self.out) } else { Err("missing ')'".into()) }
    }

    fn atom(&mut self, text: &str) {
        self.atom = Some(self.out.len());
        self.repeated = false;
        self.out.push_str(text);
    }

    fn open(&mut self) {
        self.groups.push(self.out.len());
        self.atom = None;
        self.out.push_str("(?:");
    }

    fn close(&mut self) -> Result<(), String> {
        let start = self.groups.pop().ok_or("unexpected ')'")?;
        self.out.push(')');
        self.atom = Some(start);
        self.repeated = false;
        Ok(())
    }

    fn alternate(&mut self) {
        self.atom = None;
        self.out.push('|');
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        let missing = || format!("no argument for repetition operator: {operator}");
        let start = self.atom.ok_or_else(missing)?;
        if self.repeated {
            self.out.insert_str(start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(operator);
        self.repeated = true;
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; any other brace stands for itself.
    fn brace(&mut self, rest: &mut Rest<'_>) -> Result<(), String> {
        let ahead: String = rest.clone().take_while(|c| *c != '}').take(32).collect();
        let closed = rest.clone().nth(ahead.chars().count()) == Some('}');
        let Some((low, high)) = bounds(&ahead).filter(|_| closed) else {
            self.atom(r"\{");
            return Ok(());
        };
        rest.nth(ahead.chars().count());
        let most = high.unwrap_or(low);
        if low > MAX_REPEAT || most > MAX_REPEAT || most < low {
            return Err(format!("invalid repetition size: {{{ahead}}}"));
        }
        self.repeat(&format!("{{{ahead}}}"))
    }
}

/// Numbers of a repetition; one too large to read is `u32::MAX`.
fn bounds(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match text.split_once(',') {
        None => Some((number(text)?, None)),
        Some((low, "")) => Some((number(low)?, None)),
        Some((low, high)) => Some((number(low)?, Some(number(high)?))),
    }
}

fn quote(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

/// Behind a backslash: the character as the crate writes it.
fn escape(rest: &mut Rest<'_>) -> Result<String, String> {
    escaped_char(rest).map(quote)
}

fn escaped_char(rest: &mut Rest<'_>) -> Result<char, String> {
    let c = rest.next().ok_or("trailing \\")?;
    let bad = || format!("invalid escape sequence: \\{c}");
    match c {
        'a' => Ok('\u{7}'),
        'f' => Ok('\u{c}'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\u{b}'),
        'x' => hexadecimal(rest).ok_or_else(bad),
        '0' => octal(0, rest).ok_or_else(bad),
        // A single digit would be a back reference.
        '1'..='7' if rest.peek().is_some_and(|d| d.is_digit(8)) => {
            octal(c.to_digit(8).unwrap_or(0), rest).ok_or_else(bad)
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
        _ => Err(bad()),
    }
}

fn octal(first: u32, rest: &mut Rest<'_>) -> Option<char> {
    let mut value = first;
    for _ in 0..2 {
        let Some(digit) = rest.peek().and_then(|d| d.to_digit(8)) else { break };
        value = value << 3 | digit;
        rest.next();
    }
    char::from_u32(value)
}

/// `\xHH` or `\x{H…}`.
fn hexadecimal(rest: &mut Rest<'_>) -> Option<char> {
    let digits: String = if rest.next_if_eq(&'{').is_some() {
        rest.by_ref().take_while(|c| *c != '}').take(7).collect()
    } else {
        rest.by_ref().take(2).collect()
    };
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
}

/// Behind `[`: the set as the crate writes it.
fn set(rest: &mut Rest<'_>) -> Result<String, String> {
    let mut out = String::from("[");
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = *rest.peek().ok_or("missing ]")?;
        if c == ']' && !first {
            rest.next();
            out.push(']');
            return Ok(out);
        }
        if c == '-' && !first {
            let behind = rest.clone().nth(1);
            if behind.is_some_and(|b| b != ']') {
                return Err("invalid character class range: a '-' stands first or last".into());
            }
        }
        first = false;
        match class(rest)? {
            Some(class) => out.push_str(&class),
            None => range(rest, &mut out)?,
        }
    }
}

/// `[:alpha:]` and its like.
fn class(rest: &mut Rest<'_>) -> Result<Option<String>, String> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    let ahead: String = rest.clone().take(12).collect();
    let Some((inner, _)) = ahead.strip_prefix("[:").and_then(|a| a.split_once(":]")) else { return Ok(None) };
    let name = inner.strip_prefix('^').unwrap_or(inner);
    if !NAMES.contains(&name) {
        return Err(format!("invalid character class range: [:{inner}:]"));
    }
    rest.nth(inner.len().saturating_add(3));
    Ok(Some(format!("[:{inner}:]")))
}

fn range(rest: &mut Rest<'_>, out: &mut String) -> Result<(), String> {
    let low = set_char(rest)?;
    out.push_str(&set_quote(low));
    let mut ahead = rest.clone();
    if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
        rest.next();
        let high = set_char(rest)?;
        if high < low {
            return Err(format!("invalid character class range: {low}-{high}"));
        }
        out.push('-');
        out.push_str(&set_quote(high));
    }
    Ok(())
}

fn set_char(rest: &mut Rest<'_>) -> Result<char, String> {
    match rest.next().ok_or("missing ]")? {
        '\\' => escaped_char(rest),
        c => Ok(c),
    }
}

fn set_quote(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

/// Whether simpler operators would do: no special characters but at the ends (specification §3.6).
pub(crate) fn is_simple(pattern: &str) -> bool {
    let body = ["^", ".*", ".+", ".?"].iter().find_map(|m| pattern.strip_prefix(m)).unwrap_or(pattern);
    let body = ["$", ".*", ".+", ".?"].iter().find_map(|m| body.strip_suffix(m)).unwrap_or(body);
    !body.contains(['.', '+', '*', '?', '^', '$', '(', ')', '[', ']', '{', '}', '|', '\\'])
}
