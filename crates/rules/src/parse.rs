//! Text to tree. Parentheses are kept on a stack of our own, so that deep nesting costs no call stack.

mod help;

use crate::{
    ast::{Check, Expr, Modifier, Name, Op, Operand, Right, TransformArg, Transformer},
    diagnostic::TextError,
    lex::{Lexer, is_blank},
    limits::MAX_TRANSFORM_DEPTH,
};

/// Parses a condition; all of the text must be used. `max_depth` bounds the open parentheses.
pub fn parse(text: &str, max_depth: usize) -> Result<Expr, TextError> {
    Parser { lex: Lexer::new(text), max_depth, frames: Vec::new() }.run()
}

/// Reads one value as it may stand behind `=`: quoted or bare. Nothing may follow it.
pub fn parse_literal(text: &str) -> Result<Vec<u8>, TextError> {
    let mut lex = Lexer::new(text);
    let value = value(&mut lex)?.ok_or_else(|| lex.error(EXPECTED_VALUE))?;
    if lex.at_end() { Ok(value) } else { Err(lex.error("unexpected text after the value")) }
}

/// Parses a field with its argument or a transformer at the start of a text; how many bytes it takes.
/// With `selectors` off a transformer ends at its parenthesis.
pub(crate) fn operand_prefix(text: &str, selectors: bool) -> Result<(Operand, usize), TextError> {
    let mut lex = Lexer::new(text);
    let found = match field(&mut lex)? {
        Some(field) => Some(field),
        None => transform(&mut lex, &Transformer::ALL, 0, selectors)?,
    };
    let operand = found.ok_or_else(|| lex.error("expected a field or a transformer"))?;
    Ok((operand, lex.pos()))
}

const EXPECTED_VALUE: &str = "expected a valid value: a quoted string, a bare string or a number";

/// An open parenthesis: the operands so far.
#[derive(Default)]
struct Frame {
    /// Finished members of the `or`.
    or: Vec<Expr>,
    /// Members of the `and` being read.
    and: Vec<Expr>,
    /// Whether a `not` stands before the parenthesis.
    negated: bool,
    /// The current member of the `or` was written `or(…)`: no `and` may follow it.
    closed: bool,
}

impl Frame {
    fn end_and(&mut self) {
        let mut members = std::mem::take(&mut self.and);
        let member = if members.len() == 1 { members.pop() } else { Some(Expr::And(members)) };
        self.or.extend(member);
    }

    fn finish(mut self) -> Expr {
        self.end_and();
        let single = if self.or.len() == 1 { self.or.pop() } else { None };
        negate(single.unwrap_or(Expr::Or(self.or)), self.negated)
    }
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

struct Parser<'t> {
    lex: Lexer<'t>,
    max_depth: usize,
    frames: Vec<Frame>,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Expr, TextError> {
        self.open(false)?;
        loop {
            self.lex.blanks();
            let negated = self.negations();
            if self.lex.token("(") {
                self.open(negated)?;
                continue;
            }
            let check = self.check()?;
            self.push(negate(check, negated));
            if let Some(whole) = self.connect()? {
                return Ok(whole);
            }
        }
    }

    fn open(&mut self, negated: bool) -> Result<(), TextError> {
        if self.frames.len() > self.max_depth {
            let message = format!("exceeded max depth limit of {}", self.max_depth);
            return Err(self.lex.error(message).help("move parts of the condition into macros"));
        }
        self.frames.push(Frame { negated, ..Frame::default() });
        Ok(())
    }

    fn push(&mut self, expr: Expr) {
        if let Some(frame) = self.frames.last_mut() {
            frame.and.push(expr);
        }
    }

    /// Reads `not`s; whether their number is odd.
    fn negations(&mut self) -> bool {
        let mut negated = false;
        while self.lex.word_before("not", |b| is_blank(b) || b == b'(') {
            negated = !negated;
            self.lex.blanks();
        }
        negated
    }

    /// Behind an operand: closes parentheses up to the next `and` or `or`, or to the end.
    fn connect(&mut self) -> Result<Option<Expr>, TextError> {
        loop {
            self.lex.blanks();
            if self.frames.len() > 1 && self.lex.token(")") {
                let group = self.frames.pop().map(Frame::finish);
                if let Some(group) = group {
                    self.push(group);
                }
                continue;
            }
            if self.continues()? {
                return Ok(None);
            }
            return self.end().map(Some);
        }
    }

    /// Reads `and` or `or`.
    fn continues(&mut self) -> Result<bool, TextError> {
        let Some(frame) = self.frames.last_mut() else { return Ok(false) };
        if self.lex.token("or") {
            frame.end_and();
            frame.closed = self.lex.peek() == Some(b'(');
        } else if frame.closed || !self.lex.token("and") {
            return Ok(false);
        }
        if self.lex.peek().is_some_and(|b| is_blank(b) || b == b'(') {
            return Ok(true);
        }
        let word = self.lex.last();
        Err(self.lex.error(format!("expected blank or '(' after '{word}'")))
    }

    fn end(&mut self) -> Result<Expr, TextError> {
        if self.frames.len() > 1 {
            return Err(self.lex.error("expected a ')' token"));
        }
        if self.lex.at_end()
            && let Some(frame) = self.frames.pop()
        {
            return Ok(frame.finish());
        }
        let last = self.lex.last();
        let message = format!("unexpected token after '{last}', expecting 'or', 'and'");
        Err(self.lex.error(message).help(help::behind(last, self.lex.rest())))
    }

    fn check(&mut self) -> Result<Expr, TextError> {
        let start = self.lex.pos();
        let left = match field(&mut self.lex)? {
            Some(field) => Some(field),
            None => transform(&mut self.lex, &Transformer::ALL, 0, true)?,
        };
        if let Some(left) = left {
            let (op, right, value) = self.condition()?;
            let span = start..self.lex.pos();
            return Ok(Expr::Check(Check { left, op, right, span, value }));
        }
        let Some(name) = self.lex.identifier() else {
            let message = "expected a '(' token, a field check, or an identifier";
            return Err(self.lex.error(message));
        };
        Ok(Expr::Macro(Name { text: name.to_owned(), span: start..self.lex.pos() }))
    }

    /// The operator, the right side, and where that starts.
    fn condition(&mut self) -> Result<(Op, Right, usize), TextError> {
        self.lex.blanks();
        let Some(op) = Op::ALL.into_iter().find(|op| operator(&mut self.lex, *op)) else {
            return Err(self.unknown_operator());
        };
        if op == Op::Exists {
            return Ok((op, Right::None, self.lex.pos()));
        }
        let blank = self.lex.blanks() || op.needs_blank();
        let start = self.lex.pos();
        if let Some(operand) = right_operand(&mut self.lex)? {
            return Ok((op, Right::Operand(operand), start));
        }
        let right = match op {
            _ if op.is_order() => self.number_value()?,
            _ if op.takes_list() => self.list_value()?,
            _ => self.text_value(blank)?,
        };
        Ok((op, right, start))
    }

    fn unknown_operator(&self) -> TextError {
        let names = Op::ALL.map(|op| format!("'{}'", op.name())).join(", ");
        let error = self.lex.error(format!("expected a valid check operator: one of {names}"));
        error.help(help::operator(self.lex.rest()))
    }

    fn number_value(&mut self) -> Result<Right, TextError> {
        let number = self.lex.number().ok_or_else(|| self.lex.error("expected a number value"))?;
        Ok(Right::Literal(number.as_bytes().to_vec()))
    }

    fn list_value(&mut self) -> Result<Right, TextError> {
        Ok(match list_or_name(&mut self.lex)? {
            Some(ListOrName::List(values)) => Right::List(values),
            Some(ListOrName::Name(name)) => Right::ListName(name),
            None => return Err(self.lex.error("expected a list: '(a, b)' or the name of a list")),
        })
    }

    fn text_value(&mut self, blank: bool) -> Result<Right, TextError> {
        if blank && let Some(right) = modified(&mut self.lex)? {
            return Ok(right);
        }
        let value = value(&mut self.lex)?.ok_or_else(|| self.lex.error(EXPECTED_VALUE))?;
        Ok(Right::Literal(value))
    }
}

fn operator(lex: &mut Lexer<'_>, op: Op) -> bool {
    if op.needs_blank() { lex.word_before(op.name(), is_blank) } else { lex.token(op.name()) }
}

/// Quoted or bare.
fn value(lex: &mut Lexer<'_>) -> Result<Option<Vec<u8>>, TextError> {
    match lex.quoted()? {
        Some(text) => Ok(Some(text)),
        None => Ok(lex.bare().map(|b| b.as_bytes().to_vec())),
    }
}

enum ListOrName {
    List(Vec<Vec<u8>>),
    Name(Name),
}

fn list_or_name(lex: &mut Lexer<'_>) -> Result<Option<ListOrName>, TextError> {
    if lex.token("(") {
        let none = |lex: &Lexer<'_>| lex.error("expected a value in the list");
        let values = sequence(lex, |lex| value(lex)?.ok_or_else(|| none(lex)))?;
        return Ok(Some(ListOrName::List(values)));
    }
    let start = lex.pos();
    let name = lex.identifier().map(ToOwned::to_owned);
    Ok(name.map(|text| ListOrName::Name(Name { text, span: start..lex.pos() })))
}

/// What stands between `(` (already read) and `)`, commas between.
fn sequence<T>(
    lex: &mut Lexer<'_>,
    mut item: impl FnMut(&mut Lexer<'_>) -> Result<T, TextError>,
) -> Result<Vec<T>, TextError> {
    let mut items = Vec::new();
    lex.blanks();
    if lex.token(")") {
        return Ok(items);
    }
    loop {
        lex.blanks();
        items.push(item(lex)?);
        lex.blanks();
        if lex.token(")") {
            return Ok(items);
        }
        if !lex.token(",") {
            return Err(lex.error("expected a ')' or a ',' token"));
        }
    }
}

/// `anyof (…)`; nothing if the word turns out to be an ordinary value.
fn modified(lex: &mut Lexer<'_>) -> Result<Option<Right>, TextError> {
    let mut ahead = lex.clone();
    let found = Modifier::ALL.into_iter().find(|m| ahead.word_before(m.name(), is_blank));
    let Some(modifier) = found else { return Ok(None) };
    ahead.blanks();
    let right = match list_or_name(&mut ahead)? {
        Some(ListOrName::List(values)) => Right::Modified(modifier, values),
        Some(ListOrName::Name(name)) if !matches!(name.text.as_str(), "and" | "or" | "not") => {
            Right::ModifiedName(modifier, name)
        }
        _ => return Ok(None),
    };
    *lex = ahead;
    Ok(Some(right))
}

/// A field or transformer that may stand on the right side.
fn right_operand(lex: &mut Lexer<'_>) -> Result<Option<Operand>, TextError> {
    match transform(lex, &[Transformer::Val], 0, true)? {
        Some(operand) => Ok(Some(operand)),
        None => transform(lex, &Transformer::ALL, 0, true),
    }
}

fn field(lex: &mut Lexer<'_>) -> Result<Option<Operand>, TextError> {
    let start = lex.pos();
    let Some(name) = lex.field_name().map(ToOwned::to_owned) else { return Ok(None) };
    let arg = bracket(lex)?;
    Ok(Some(Operand::Field { name, arg, span: start..lex.pos() }))
}

/// `[arg]`, without blanks around the brackets.
fn bracket(lex: &mut Lexer<'_>) -> Result<Option<String>, TextError> {
    if !lex.token("[") {
        return Ok(None);
    }
    let arg = match lex.quoted()? {
        Some(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        None => lex.bare_arg().map(ToOwned::to_owned),
    };
    let missing = "expected a valid field argument: a quoted string or a bare string";
    let arg = arg.ok_or_else(|| lex.error(missing))?;
    if lex.token("]") { Ok(Some(arg)) } else { Err(lex.error("expected a ']' token")) }
}

fn transform(
    lex: &mut Lexer<'_>,
    known: &[Transformer],
    depth: usize,
    selectors: bool,
) -> Result<Option<Operand>, TextError> {
    let start = lex.pos();
    let found = known.iter().find(|t| lex.word_before(t.name(), |b| b == b'('));
    let Some(name) = found.copied().filter(|_| lex.token("(")) else { return Ok(None) };
    if depth >= MAX_TRANSFORM_DEPTH {
        return Err(lex.error(format!("transformers nest deeper than {MAX_TRANSFORM_DEPTH}")));
    }
    let args = if name == Transformer::Val { val_arg(lex)? } else { args(lex, depth)? };
    let selector = if selectors { bracket(lex)? } else { None };
    Ok(Some(Operand::Transform { name, args, selector, span: start..lex.pos() }))
}

/// `val(field)`.
fn val_arg(lex: &mut Lexer<'_>) -> Result<Vec<TransformArg>, TextError> {
    lex.blanks();
    let field = field(lex)?.ok_or_else(|| lex.error("expected a field within 'val()'"))?;
    lex.blanks();
    if !lex.token(")") {
        return Err(lex.error("expected a ')' token closing the transformer"));
    }
    Ok(vec![TransformArg::Operand(field)])
}

fn args(lex: &mut Lexer<'_>, depth: usize) -> Result<Vec<TransformArg>, TextError> {
    let args = sequence(lex, |lex| {
        if lex.token("(") {
            return Ok(TransformArg::List(sequence(lex, |lex| arg(lex, depth))?));
        }
        arg(lex, depth)
    })?;
    if args.is_empty() {
        Err(lex.error("expected a field or a value within the transformer"))
    } else {
        Ok(args)
    }
}

/// One argument that is no list.
fn arg(lex: &mut Lexer<'_>, depth: usize) -> Result<TransformArg, TextError> {
    if let Some(number) = lex.number() {
        return Ok(TransformArg::Number(number.to_owned()));
    }
    if let Some(text) = lex.quoted()? {
        return Ok(TransformArg::Text(text));
    }
    if let Some(inner) = transform(lex, &Transformer::ALL, depth.saturating_add(1), true)? {
        return Ok(TransformArg::Operand(inner));
    }
    let none = "expected a field, a transformer, a quoted string or a number";
    Ok(TransformArg::Operand(field(lex)?.ok_or_else(|| lex.error(none))?))
}
