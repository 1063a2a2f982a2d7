//! The printed form of a condition (specification §2). With `{:#}` it is Falco's `condition_compiled` to the byte, where
//! constants within transformers and empty texts stand without quotes; otherwise it can be read again.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::{
    ast::{Check, Expr, Operand, Right, TransformArg},
    lex,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(members) => group(f, members, " and "),
            Self::Or(members) => group(f, members, " or "),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.fmt(f)
            }
            Self::Macro(name) => f.write_str(&name.text),
            Self::Body(body, _) => body.tree.fmt(f),
            Self::Check(check) => check.fmt(f),
        }
    }
}

fn group(f: &mut Formatter<'_>, members: &[Expr], between: &str) -> fmt::Result {
    f.write_char('(')?;
    separated(f, members, between, |f, m| m.fmt(f))?;
    f.write_char(')')
}

fn separated<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    between: &str,
    mut write: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.left.fmt(f)?;
        write!(f, " {}", self.op.name())?;
        if matches!(self.right, Right::None) {
            return Ok(());
        }
        f.write_char(' ')?;
        self.right.fmt(f)
    }
}

impl Display for Right {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Literal(value) => literal(f, value),
            Self::List(values) => list(f, values),
            Self::ListName(name) => f.write_str(&name.text),
            Self::Operand(operand) => operand.fmt(f),
            Self::Modified(modifier, values) => {
                write!(f, "{} ", modifier.name())?;
                list(f, values)
            }
            Self::ModifiedName(modifier, name) => write!(f, "{} {}", modifier.name(), name.text),
        }
    }
}

fn list(f: &mut Formatter<'_>, values: &[Vec<u8>]) -> fmt::Result {
    f.write_char('(')?;
    separated(f, values, ", ", |f, v| literal(f, v))?;
    f.write_char(')')
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let arg = match self {
            Self::Field { name, arg, .. } => {
                f.write_str(name)?;
                arg
            }
            Self::Transform { name, args, selector, .. } => {
                write!(f, "{}(", name.name())?;
                arguments(f, args)?;
                f.write_char(')')?;
                selector
            }
        };
        arg.as_deref().map_or(Ok(()), |text| bracket(f, text))
    }
}

fn bracket(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('[')?;
    if f.alternate() {
        literal(f, text.as_bytes())?;
    } else if !text.is_empty() && text.bytes().all(|b| lex::is_bare_arg(b) && !b.is_ascii_control()) {
        f.write_str(text)?;
    } else {
        quoted(f, text.as_bytes())?;
    }
    f.write_char(']')
}

impl Display for TransformArg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(operand) => operand.fmt(f),
            Self::Text(text) if f.alternate() => f.write_str(&String::from_utf8_lossy(text)),
            Self::Text(text) => quoted(f, text),
            Self::Number(number) => f.write_str(number),
            Self::List(items) => {
                f.write_char('(')?;
                arguments(f, items)?;
                f.write_char(')')
            }
        }
    }
}

fn arguments(f: &mut Formatter<'_>, args: &[TransformArg]) -> fmt::Result {
    let between = if f.alternate() { "," } else { ", " };
    separated(f, args, between, |f, a| a.fmt(f))
}

fn literal(f: &mut Formatter<'_>, value: &[u8]) -> fmt::Result {
    let needs_quotes = |b: &u8| matches!(b, b' ' | b'=' | b'"' | b'\'' | b'\\') || b.is_ascii_control();
    let bare = f.alternate() || !value.is_empty();
    match std::str::from_utf8(value) {
        Ok(text) if bare && !value.iter().any(needs_quotes) => f.write_str(text),
        _ => quoted(f, value),
    }
}

fn quoted(f: &mut Formatter<'_>, value: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    // A backslash before the closing quote would keep the string open.
    let last = value.strip_suffix(b"\\").filter(|_| !f.alternate());
    let (body, end) = last.map_or((value, ""), |body| (body, "\\x5c"));
    for chunk in body.utf8_chunks() {
        chunk.valid().chars().try_for_each(|c| escaped(f, c))?;
        chunk.invalid().iter().try_for_each(|b| write!(f, "\\x{b:02x}"))?;
    }
    write!(f, "{end}\"")
}

fn escaped(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\u{8}' => f.write_str("\\b"),
        '\u{c}' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\\' => f.write_str("\\\\"),
        '"' => f.write_str("\\\""),
        c => f.write_char(c),
    }
}
