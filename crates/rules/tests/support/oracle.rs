//! The meaning of a condition, read from its tree alone: slow and plain, to check the compiled form against.

use std::{cmp::Ordering, net::IpAddr};

use saker_rules::{
    ast::{Check, Expr, Modifier, Op, Operand, Right, TransformArg, Transformer},
    schema::{FieldArg, Quantifier, Record, Schema, SourceId},
    value::{FieldType, Value},
};

/// Interprets conditions over the records of one source. Forms that the test does not generate panic.
pub(crate) struct Oracle<'s> {
    pub(crate) schema: &'s Schema,
    pub(crate) source: SourceId,
}

impl Oracle<'_> {
    pub(crate) fn holds(&self, expr: &Expr, record: &dyn Record) -> bool {
        match expr {
            Expr::And(members) => members.iter().all(|m| self.holds(m, record)),
            Expr::Or(members) => members.iter().any(|m| self.holds(m, record)),
            Expr::Not(inner) => !self.holds(inner, record),
            Expr::Check(check) => self.check(check, record),
            Expr::Body(body, _) => self.holds(&body.tree, record),
            Expr::Macro(name) => panic!("macro {}", name.text),
        }
    }

    fn check(&self, check: &Check, record: &dyn Record) -> bool {
        let values = match self.value(&check.left, record) {
            None => return false,
            // An end of no known name differs from every name.
            Some(Value::List(values)) if values.is_empty() && !self.differs_from_ends(check) => return false,
            Some(Value::List(values)) => values,
            Some(value) => vec![value],
        };
        let one = |text: &Vec<u8>| self.with_texts(check, &values, std::slice::from_ref(text));
        match &check.right {
            Right::None => true,
            Right::Literal(text) => one(text),
            Right::List(texts) => self.with_texts(check, &values, texts),
            Right::Modified(Modifier::OneOf, texts) => texts.iter().filter(|t| one(t)).count() == 1,
            Right::Modified(Modifier::AnyOf, texts) => texts.iter().any(one),
            Right::Modified(Modifier::AllOf, texts) => !texts.is_empty() && texts.iter().all(one),
            Right::Operand(right) => match self.value(right, record) {
                Some(Value::Text(right)) => values.iter().any(|v| text(check.op, bytes(v), &right)),
                _ => false,
            },
            Right::ListName(name) | Right::ModifiedName(_, name) => panic!("list {}", name.text),
        }
    }

    fn differs_from_ends(&self, check: &Check) -> bool {
        let Operand::Field { name, .. } = &check.left else { return false };
        let field = self.schema.field(self.schema.find_field(self.source, name).unwrap()).unwrap();
        field.quantifier == Quantifier::Endpoints && check.op == Op::Ne
    }

    /// `in` on lists and `!=` on endpoints ask every value, all else asks for one.
    fn with_texts(&self, check: &Check, values: &[Value<'_>], texts: &[Vec<u8>]) -> bool {
        let mut seen = texts;
        // The one transformer of the test that makes a list.
        let mut every = check.op == Op::In
            && matches!(check.left, Operand::Transform { selector: None, name: Transformer::GetOpt, .. });
        if let Operand::Field { name, .. } = &check.left {
            let field = self.schema.field(self.schema.find_field(self.source, name).unwrap()).unwrap();
            let endpoints = field.quantifier == Quantifier::Endpoints;
            every = field.list && check.op == Op::In || self.differs_from_ends(check);
            // Only the first network of a list counts (specification §3.3).
            if endpoints && field.ty == FieldType::IpNet {
                seen = &texts[..1];
            }
        }
        let single = |value: &Value<'_>| match check.op {
            Op::Ne => seen.iter().all(|t| text_or_number(Op::Ne, value, t)),
            Op::In | Op::Intersects => seen.iter().any(|t| text_or_number(Op::Eq, value, t)),
            op => seen.iter().any(|t| text_or_number(op, value, t)),
        };
        if every { values.iter().all(single) } else { values.iter().any(single) }
    }

    fn value<'r>(&self, operand: &Operand, record: &'r dyn Record) -> Option<Value<'r>> {
        match operand {
            Operand::Field { name, arg, .. } => {
                let argument = |text: &String| FieldArg { text: text.clone(), index: text.parse().ok() };
                let id = self.schema.find_field(self.source, name).expect("a known field");
                record.field(id, arg.as_ref().map(argument).as_ref())
            }
            Operand::Transform { name, args, selector, .. } => {
                self.transformed(*name, args, selector.as_deref(), record)
            }
        }
    }

    fn transformed(
        &self,
        name: Transformer,
        args: &[TransformArg],
        selector: Option<&str>,
        record: &dyn Record,
    ) -> Option<Value<'static>> {
        let texts: Vec<Vec<Vec<u8>>> =
            args.iter().map(|arg| self.texts(arg, record)).collect::<Option<_>>()?;
        let first = texts[0].first().map(Vec::as_slice).unwrap_or_default();
        Some(match name {
            Transformer::Val => Value::owned(first),
            Transformer::ToLower => Value::owned(first.to_ascii_lowercase()),
            Transformer::ToUpper => Value::owned(first.to_ascii_uppercase()),
            Transformer::Len => Value::Uint(first.len() as u64),
            Transformer::Basename => Value::owned(first.split(|b| *b == b'/').next_back().unwrap()),
            Transformer::B64 => Value::owned(base64(first)?),
            Transformer::Concat => Value::owned(texts.concat().concat()),
            Transformer::Join => Value::owned(texts[1].join(first)),
            Transformer::GetOpt => {
                let words = texts[0].iter().map(Vec::as_slice).collect();
                let found = options(words, &texts[1][0]);
                let Some(wanted) = selector.map(str::as_bytes) else {
                    let flat = found.into_iter().flat_map(|(_, words)| words);
                    return Some(Value::List(flat.map(Value::owned).collect()));
                };
                let last = found.into_iter().rfind(|(name, _)| [*name] == wanted)?;
                Value::owned(last.1.last()?.clone())
            }
        })
    }

    /// The texts of an argument, numbers among them.
    fn texts(&self, arg: &TransformArg, record: &dyn Record) -> Option<Vec<Vec<u8>>> {
        match arg {
            TransformArg::Text(text) => Some(vec![text.clone()]),
            TransformArg::Number(number) => Some(vec![number.clone().into_bytes()]),
            TransformArg::List(items) => {
                let all: Option<Vec<_>> = items.iter().map(|item| self.texts(item, record)).collect();
                all.map(|all| all.concat())
            }
            TransformArg::Operand(operand) => Some(match self.value(operand, record)? {
                Value::List(values) => values.iter().map(|v| bytes(v).to_vec()).collect(),
                Value::Int(number) => vec![number.to_string().into_bytes()],
                value => vec![bytes(&value).to_vec()],
            }),
        }
    }
}

/// Six bits a letter, eight a byte.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let padded = letters.len() < text.len();
    if letters.len() % 4 == 1 || padded && !text.len().is_multiple_of(4) {
        return None;
    }
    let six: Option<Vec<usize>> =
        letters.iter().map(|letter| LETTERS.iter().position(|l| l == letter)).collect();
    let bits = six?.iter().map(|six| format!("{six:06b}")).collect::<Vec<_>>().concat();
    let bytes = (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap());
    Some(bytes.collect())
}

/// Options up to the first word that is none, each with the words it makes of a list: the option and its value, a
/// value that is missing alone, `?` for an option that is not known.
fn options(words: Vec<&[u8]>, known: &[u8]) -> Vec<(u8, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word.len() < 2 || word[0] != b'-' || word == b"--" {
            break;
        }
        let cluster = if word[1] == b'-' { &[] } else { &word[1..] };
        for (at, letter) in cluster.iter().enumerate() {
            match known.iter().position(|k| k == letter && *k != b':') {
                None => found.push((0, vec![b"?".to_vec()])),
                Some(place) if known.get(place + 1) == Some(&b':') => {
                    let rest = Some(&cluster[at + 1..]).filter(|rest| !rest.is_empty());
                    let value = rest.or_else(|| words.next()).map(<[u8]>::to_vec);
                    found.push((*letter, value.map_or(vec![vec![]], |value| vec![vec![*letter], value])));
                    break;
                }
                Some(_) => found.push((*letter, vec![vec![*letter]])),
            }
        }
    }
    found
}

fn bytes<'v>(value: &'v Value<'_>) -> &'v [u8] {
    match value {
        Value::Text(text) | Value::Bytes(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn text_or_number(op: Op, value: &Value<'_>, literal: &[u8]) -> bool {
    let written = std::str::from_utf8(literal).expect("literals of the test are UTF-8");
    let order = match value {
        Value::Text(_) | Value::Bytes(_) => return text(op, bytes(value), literal),
        Value::Bool(b) => Some(b.cmp(&written.parse().unwrap())),
        Value::Int(n) => Some(n.cmp(&written.parse().unwrap())),
        Value::Uint(n) => Some(n.cmp(&written.parse().unwrap())),
        Value::Double(d) => d.partial_cmp(&written.parse().unwrap()),
        Value::Ip(ip) => Some(if same_net(*ip, written) { Ordering::Equal } else { Ordering::Less }),
        other => panic!("{other:?}"),
    };
    order.is_some_and(|o| ordered(op, o))
}

fn ordered(op: Op, order: Ordering) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        other => panic!("{other:?} on a number"),
    }
}

/// Bit by bit: the address begins with the network's bits.
fn same_net(ip: IpAddr, written: &str) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => format!("{:032b}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{:0128b}", ip.to_bits()),
    };
    let (net, length) = written.split_once('/').unwrap_or((written, "128"));
    let (ip, net) = (bits(ip), bits(net.parse().unwrap()));
    let length = length.parse::<usize>().unwrap().min(net.len());
    ip.len() == net.len() && ip[..length] == net[..length]
}

fn text(op: Op, value: &[u8], right: &[u8]) -> bool {
    let has = |value: &[u8], right: &[u8]| right.is_empty() || value.windows(right.len()).any(|w| w == right);
    match op {
        Op::Contains => has(value, right),
        Op::IContains => has(&value.to_ascii_lowercase(), &right.to_ascii_lowercase()),
        Op::StartsWith => value.starts_with(right),
        Op::EndsWith => value.ends_with(right),
        Op::Glob => glob(value, right),
        Op::IGlob => glob(&value.to_ascii_lowercase(), &right.to_ascii_lowercase()),
        Op::PMatch => below(value, right),
        Op::Regex => right.split(|b| *b == b'|').any(|branch| regex(value, branch)),
        Op::BContains => has(value, &hexadecimal(right)),
        Op::BStartsWith => value.starts_with(&hexadecimal(right)),
        op => ordered(op, value.cmp(right)),
    }
}

/// `*` and `?` alone.
fn glob(value: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some((b'*', rest)) => (0..=value.len()).any(|at| glob(&value[at..], rest)),
        Some((byte, rest)) => value
            .split_first()
            .is_some_and(|(first, value)| (*byte == b'?' || byte == first) && glob(value, rest)),
    }
}

/// Letters and `.`, each with `*`, `+` or `?` behind it or not.
fn regex(value: &[u8], pattern: &[u8]) -> bool {
    let Some((letter, rest)) = pattern.split_first() else { return value.is_empty() };
    let fits = |byte: &u8| letter == byte || *letter == b'.' && *byte != b'\n';
    let run = value.iter().take_while(|byte| fits(byte)).count();
    let (counts, rest) = match rest.split_first() {
        Some((b'*', rest)) => (0..=run, rest),
        Some((b'+', rest)) => (1..=run, rest),
        Some((b'?', rest)) => (0..=run.min(1), rest),
        _ => (1..=run.min(1), rest),
    };
    counts.into_iter().any(|count| regex(&value[count..], rest))
}

fn hexadecimal(digits: &[u8]) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The path is the directory or lies below it; each of its parts may be a pattern.
fn below(path: &[u8], directory: &[u8]) -> bool {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (path, directory) = (parts(path), parts(directory));
    path.len() >= directory.len() && path.iter().zip(&directory).all(|(part, pattern)| glob(part, pattern))
}
