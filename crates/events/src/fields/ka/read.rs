//! How values are taken out of an event.

use saker_rules::{schema::FieldArg, value::Value};

use crate::{audit::Json, record::AuditRecord};

/// The text at a path.
pub(super) fn text<'a>(record: &'a AuditRecord, path: &[&str]) -> Option<Value<'a>> {
    record.at(path).map(Json::text)
}

/// The texts of the array at a path.
pub(super) fn texts<'a>(record: &'a AuditRecord, path: &[&str]) -> Option<Value<'a>> {
    list(record.at(path)?.as_array()?.iter().map(Json::text))
}

/// A list, absent if it would be empty.
pub(super) fn list<'a>(values: impl IntoIterator<Item = Value<'a>>) -> Option<Value<'a>> {
    let values: Vec<_> = values.into_iter().collect();
    (!values.is_empty()).then_some(Value::List(values))
}

/// What lies at a path in which arrays may stand between the keys: one entry for each of their elements, or
/// for the one that the argument names. An element that lacks the rest of the path yields `None`; a path
/// that is broken before any array, or in the chosen element, is absent as a whole.
pub(super) fn spread<'a>(
    record: &'a AuditRecord,
    arg: Option<&FieldArg>,
    path: &[&str],
) -> Option<Vec<Option<&'a Json>>> {
    let event = record.at(&[])?;
    let index = arg.map(|arg| arg.index.and_then(|i| usize::try_from(i).ok()).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    collect(event, index, path, &mut found)?;
    Some(found)
}

fn collect<'a>(
    value: &'a Json,
    index: Option<usize>,
    path: &[&str],
    found: &mut Vec<Option<&'a Json>>,
) -> Option<()> {
    let Some((key, rest)) = path.split_first() else {
        found.push(Some(value));
        return Some(());
    };
    match (value, index) {
        (Json::Array(elements), None) => {
            for element in elements {
                if collect(element, index, path, found).is_none() {
                    found.push(None);
                }
            }
            Some(())
        }
        (Json::Array(elements), Some(at)) => collect(elements.get(at)?.get(key)?, index, rest, found),
        _ => collect(value.get(key)?, index, rest, found),
    }
}

/// The texts at a path through arrays, leaving out what lacks it.
pub(super) fn present<'a>(
    record: &'a AuditRecord,
    arg: Option<&FieldArg>,
    path: &[&str],
) -> Option<Value<'a>> {
    list(spread(record, arg, path)?.into_iter().flatten().map(Json::text))
}
