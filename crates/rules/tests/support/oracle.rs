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
            Some(Value::List(values)) if values.is_empty() => return false,
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

    /// `in` on lists and `!=` on endpoints ask every value, all else asks for one.
    fn with_texts(&self, check: &Check, values: &[Value<'_>], texts: &[Vec<u8>]) -> bool {
        let mut seen = texts;
        let mut every = false;
        if let Operand::Field { name, .. } = &check.left {
            let field = self.schema.field(self.schema.find_field(self.source, name).unwrap()).unwrap();
            let endpoints = field.quantifier == Quantifier::Endpoints;
            every = field.list && check.op == Op::In || endpoints && check.op == Op::Ne;
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
            Operand::Transform { name, args, .. } => {
                let [TransformArg::Operand(inner)] = args.as_slice() else { panic!("{args:?}") };
                let Value::Text(inner) = self.value(inner, record)? else { panic!("{inner:?} is no text") };
                Some(match name {
                    Transformer::Val => Value::Text(inner),
                    Transformer::ToLower => Value::owned(inner.to_ascii_lowercase()),
                    Transformer::ToUpper => Value::owned(inner.to_ascii_uppercase()),
                    Transformer::Len => Value::Uint(inner.len() as u64),
                    other => panic!("{other:?}"),
                })
            }
        }
    }
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

/// The path is the directory or lies below it; each of its parts may be a pattern.
fn below(path: &[u8], directory: &[u8]) -> bool {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (path, directory) = (parts(path), parts(directory));
    path.len() >= directory.len() && path.iter().zip(&directory).all(|(part, pattern)| glob(part, pattern))
}
