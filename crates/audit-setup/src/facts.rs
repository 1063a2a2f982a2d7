//! Whether a condition may hold, given what is known of a request. Three-valued: what is not known, or not looked
//! into here, may be either.

use saker_rules::ast::{Check, Expr, Op, Operand, Right};

use crate::level::pointer;

/// What a policy can look at, and the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Verb,
    Group,
    Resource,
    Subresource,
    Namespace,
    User,
    Uri,
    Stage,
}

/// The fields that give an attribute: `ka.…`, and the pointer into the event.
const FIELDS: [(Attribute, &str, &str); 8] = [
    (Attribute::Verb, "ka.verb", "/verb"),
    (Attribute::Group, "", "/objectRef/apiGroup"),
    (Attribute::Resource, "ka.target.resource", "/objectRef/resource"),
    (Attribute::Subresource, "ka.target.subresource", "/objectRef/subresource"),
    (Attribute::Namespace, "ka.target.namespace", "/objectRef/namespace"),
    (Attribute::User, "ka.user.name", "/user/username"),
    (Attribute::Uri, "ka.uri", "/requestURI"),
    (Attribute::Stage, "ka.stage", "/stage"),
];

/// The time of the event, by which rules for Falco write "always" (`exists`) and "never" (`= 0`).
const TIMES: [&str; 2] = ["json.rawtime", "jevt.rawtime"];

impl Attribute {
    /// The attribute that a field gives, as rules write the field.
    fn of_field(field: &str) -> Option<Self> {
        let pointer = pointer(field);
        let gives = |(_, name, path): &&(_, &str, &str)| *name == field || pointer == Some(path);
        FIELDS.iter().find(gives).map(|(attribute, ..)| *attribute)
    }
}

/// What is known of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Fact {
    /// Nothing.
    #[default]
    Unknown,
    /// The event does not have it.
    Absent,
    /// Its value.
    Is(String),
    /// It has a value, and none that a rule asks for by `=` or `in`.
    Other,
    /// How its value begins.
    StartsWith(String),
}

impl Fact {
    /// An empty text is left out of events.
    pub(crate) fn is(text: &str) -> Self {
        if text.is_empty() { Self::Absent } else { Self::Is(text.to_owned()) }
    }
}

/// What is known of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts([Fact; FIELDS.len()]);

impl Facts {
    /// The same with one more fact.
    pub(crate) fn with(mut self, attribute: Attribute, fact: Fact) -> Self {
        if let Some(place) = self.0.get_mut(attribute as usize) {
            *place = fact;
        }
        self
    }

    fn of(&self, attribute: Attribute) -> &Fact {
        self.0.get(attribute as usize).unwrap_or(&Fact::Unknown)
    }

    /// Whether a condition may hold.
    pub(crate) fn allow(&self, condition: &Expr) -> bool {
        self.truth(condition) != Some(false)
    }

    /// `None` if both are possible.
    fn truth(&self, expr: &Expr) -> Option<bool> {
        match expr {
            Expr::And(members) => self.all(members, true),
            Expr::Or(members) => self.all(members, false),
            Expr::Not(inner) => self.truth(inner).map(|truth| !truth),
            Expr::Check(check) => self.check(check),
            Expr::Body(body, _) => self.truth(&body.tree),
            Expr::Macro(_) => None,
        }
    }

    /// For `good` = true whether all hold, for false whether one does.
    fn all(&self, members: &[Expr], good: bool) -> Option<bool> {
        let mut result = Some(good);
        for member in members {
            match self.truth(member) {
                Some(truth) if truth == good => {}
                Some(_) => return Some(!good),
                None => result = None,
            }
        }
        result
    }

    fn check(&self, check: &Check) -> Option<bool> {
        let Operand::Field { name, .. } = &check.left else { return None };
        if TIMES.contains(&name.as_str()) {
            return time(check);
        }
        match self.of(Attribute::of_field(&check.left.to_string())?) {
            Fact::Unknown => None,
            Fact::Absent => Some(false),
            Fact::Is(value) => compare(check, value.as_bytes()),
            Fact::Other => other(check),
            Fact::StartsWith(start) => begins(check, start.as_bytes()),
        }
    }
}

/// Every event has a time, and it is not 1970.
fn time(check: &Check) -> Option<bool> {
    match (check.op, &check.right) {
        (Op::Exists, _) => Some(true),
        (Op::Eq | Op::EqEq, Right::Literal(text)) if text == b"0" => Some(false),
        _ => None,
    }
}

/// The texts of `= text`, `!= text` and `in (…)`.
pub(crate) fn literals(check: &Check) -> &[Vec<u8>] {
    match (&check.right, check.op) {
        (Right::Literal(value), Op::Eq | Op::EqEq | Op::Ne) => std::slice::from_ref(value),
        (Right::List(values), Op::In) => values,
        _ => &[],
    }
}

fn compare(check: &Check, value: &[u8]) -> Option<bool> {
    match (check.op, &check.right) {
        (Op::Exists, _) => Some(true),
        (Op::Eq | Op::EqEq, Right::Literal(text)) => Some(value == text),
        (Op::Ne, Right::Literal(text)) => Some(value != text),
        (Op::In, Right::List(texts)) => Some(texts.iter().any(|text| value == text)),
        (Op::StartsWith, Right::Literal(text)) => Some(value.starts_with(text)),
        (Op::EndsWith, Right::Literal(text)) => Some(value.ends_with(text)),
        _ => None,
    }
}

fn other(check: &Check) -> Option<bool> {
    match check.op {
        Op::Exists => Some(true),
        Op::Eq | Op::EqEq | Op::In if !literals(check).is_empty() => Some(false),
        Op::Ne if !literals(check).is_empty() => Some(true),
        _ => None,
    }
}

fn begins(check: &Check, start: &[u8]) -> Option<bool> {
    let possible = |text: &Vec<u8>| text.starts_with(start);
    match (check.op, &check.right) {
        (Op::Exists, _) => Some(true),
        (Op::Eq | Op::EqEq, Right::Literal(text)) if !possible(text) => Some(false),
        (Op::Ne, Right::Literal(text)) if !possible(text) => Some(true),
        (Op::In, Right::List(texts)) if !texts.iter().any(possible) => Some(false),
        (Op::StartsWith, Right::Literal(text)) if start.starts_with(text) => Some(true),
        (Op::StartsWith, Right::Literal(text)) if !possible(text) => Some(false),
        _ => None,
    }
}

/// Every text that a condition asks of an attribute by `=`, `!=` or `in`.
pub(crate) fn mentioned(condition: &Expr, attribute: Attribute, found: &mut Vec<String>) {
    match condition {
        Expr::And(members) | Expr::Or(members) => {
            for member in members {
                mentioned(member, attribute, found);
            }
        }
        Expr::Not(inner) => mentioned(inner, attribute, found),
        Expr::Body(body, _) => mentioned(&body.tree, attribute, found),
        Expr::Check(check) if Attribute::of_field(&check.left.to_string()) == Some(attribute) => {
            found.extend(literals(check).iter().map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        Expr::Check(_) | Expr::Macro(_) => {}
    }
}
