//! Memory of values that are done with, kept for the next ones: an event that no rule matches costs no allocation.

use std::{borrow::Cow, cell::RefCell};

use crate::value::Value;

/// Buffers of each kind that a thread keeps.
const MAX_KEPT: usize = 16;

/// Larger buffers go back to the system.
const MAX_BYTES: usize = 64 << 10;

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

#[derive(Default)]
struct Spare {
    texts: Vec<Vec<u8>>,
    lists: Vec<Vec<Value<'static>>>,
}

/// An empty text, with room if an earlier value left some.
pub fn text() -> Vec<u8> {
    with(|spare| spare.texts.pop()).unwrap_or_default()
}

/// An empty list, with room if an earlier value left some.
pub fn list<'a>() -> Vec<Value<'a>> {
    with(|spare| spare.lists.pop()).unwrap_or_default()
}

/// Keeps the memory of a value.
#[inline]
pub(crate) fn keep(value: Value<'_>) {
    match value {
        Value::Text(Cow::Owned(text)) | Value::Bytes(Cow::Owned(text)) => keep_text(text),
        Value::List(values) => keep_list(values),
        _ => {}
    }
}

#[inline(never)]
fn keep_text(mut text: Vec<u8>) {
    text.clear();
    let fits = (1..=MAX_BYTES).contains(&text.capacity());
    with(|spare| (fits && spare.texts.len() < MAX_KEPT).then(|| spare.texts.push(text)));
}

#[inline(never)]
fn keep_list(mut values: Vec<Value<'_>>) {
    values.drain(..).for_each(keep);
    // The allocation stays when a vector is collected in place; the values may then live for another time.
    let list: Vec<Value<'static>> = values.into_iter().map_while(|_| None).collect();
    let bytes = list.capacity().saturating_mul(size_of::<Value<'_>>());
    let fits = (1..=MAX_BYTES).contains(&bytes);
    with(|spare| (fits && spare.lists.len() < MAX_KEPT).then(|| spare.lists.push(list)));
}

/// Nothing at the end of a thread.
fn with<T>(work: impl FnOnce(&mut Spare) -> Option<T>) -> Option<T> {
    SPARE.try_with(|spare| work(&mut *spare.try_borrow_mut().ok()?)).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back() {
        let mut long = Vec::with_capacity(1000);
        long.extend_from_slice(b"text");
        let mut values = list();
        values.push(Value::owned(long));
        values.push(Value::text("borrowed"));
        let room = values.capacity();
        keep(Value::List(values));
        let (text, list) = (text(), list());
        assert!(text.is_empty() && text.capacity() == 1000, "{}", text.capacity());
        assert!(list.is_empty() && list.capacity() == room && room > 0, "{}", list.capacity());
    }

    #[test]
    fn little_is_kept() {
        (0..=MAX_KEPT).for_each(|_| keep(Value::owned(Vec::with_capacity(8))));
        keep(Value::owned(Vec::with_capacity(MAX_BYTES + 1)));
        assert_eq!((0..=MAX_KEPT).filter(|_| text().capacity() > 0).count(), MAX_KEPT);
    }
}
