//! The `exceptions` key of a rule (specification §1.4).

use crate::{
    diagnostic::{Code, Diagnostic},
    document::{
        Decoded,
        decode::{invalid, required, text},
    },
    place::Place,
    yaml::{Node, Value},
};

/// One text or a list of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    One(String),
    Many(Vec<Entry>),
}

impl Default for Entry {
    fn default() -> Self {
        Self::One(String::new())
    }
}

impl Entry {
    /// Whether something was given.
    pub(crate) fn is_given(&self) -> bool {
        match self {
            Self::One(text) => !text.is_empty(),
            Self::Many(entries) => !entries.is_empty(),
        }
    }

    /// The text; empty for a list.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::One(text) => text,
            Self::Many(_) => "",
        }
    }

    /// The entries of a list; none for a text.
    pub(crate) fn entries(&self) -> &[Entry] {
        match self {
            Self::One(_) => &[],
            Self::Many(entries) => entries,
        }
    }
}

/// One exception of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) fields: Entry,
    pub(crate) comps: Entry,
    pub(crate) values: Vec<Entry>,
    pub(crate) place: Place,
}

/// Whether `fields` may be missing: it may in what adds to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    Required,
    Optional,
}

/// Reads the exceptions of a rule; none if the key is missing or empty.
pub(crate) fn exceptions(
    node: &Node,
    fields: Fields,
    rule: &Place,
    warnings: &mut Vec<Diagnostic>,
) -> Decoded<Vec<Exception>> {
    let Some(value) = node.get("exceptions").filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let place = rule.step("exceptions", "", value.mark);
    let Value::Sequence(entries) = &value.value else {
        return Err(invalid(&place, "Rule exceptions must be a sequence"));
    };
    let mut exceptions: Vec<Exception> = Vec::with_capacity(entries.len());
    for entry in entries.iter() {
        let exception = exception(entry, fields, rule, &place, warnings)?;
        if exceptions.iter().any(|e| e.name == exception.name) {
            let message = format!("Multiple definitions of exception '{}' in the same item", exception.name);
            warnings.push(exception.place.diagnostic(Code::LoadExceptionNameNotUnique, message));
        }
        exceptions.push(exception);
    }
    Ok(exceptions)
}

fn exception(
    node: &Node,
    fields_are: Fields,
    rule: &Place,
    parent: &Place,
    warnings: &mut Vec<Diagnostic>,
) -> Decoded<Exception> {
    let place = parent.step("exception", "", node.mark);
    let Value::Map(_) = node.value else { return Err(invalid(&place, "Rule exception must be a mapping")) };
    let name = text(node, "name", &place)?.text;
    let place = rule.step("exception", &name, node.mark);
    if fields_are == Fields::Required {
        required(node, "fields", &place)?;
    }
    let fields = optional_entry(node, "fields", &place)?;
    let comps = optional_entry(node, "comps", &place)?;
    if fields_are == Fields::Optional && node.get("values").is_none() {
        let message = "Overriding/appending exception with no values";
        warnings.push(place.diagnostic(Code::LoadAppendNoValues, message));
    }
    let values = values(node, &place)?;
    Ok(Exception { name, fields, comps, values, place })
}

fn values(node: &Node, place: &Place) -> Decoded<Vec<Entry>> {
    let Some(value) = node.get("values") else { return Ok(Vec::new()) };
    let place = place.step("exception values", "", value.mark);
    let Value::Sequence(rows) = &value.value else {
        return Err(invalid(&place, "Rule exception values must be a sequence"));
    };
    rows.iter().map(|row| entry(row, "", &place.step("exception value", "", row.mark))).collect()
}

fn optional_entry(node: &Node, key: &str, place: &Place) -> Decoded<Entry> {
    node.get(key).map_or_else(|| Ok(Entry::default()), |value| entry(value, key, place))
}

/// What is neither a text nor a list counts as not given, as in Falco.
fn entry(node: &Node, key: &str, parent: &Place) -> Decoded<Entry> {
    let place = || parent.step("value for", key, node.mark);
    match &node.value {
        Value::Scalar(text) if text.is_empty() => Err(invalid(&place(), "Value must be non-empty")),
        Value::Scalar(text) => Ok(Entry::One(text.to_string())),
        Value::Sequence(nodes) => {
            let place = place();
            let inner = |node: &Node| entry(node, "", &place.step("exception", "", node.mark));
            Ok(Entry::Many(nodes.iter().map(inner).collect::<Decoded<_>>()?))
        }
        Value::Null | Value::Map(_) => Ok(Entry::default()),
    }
}
