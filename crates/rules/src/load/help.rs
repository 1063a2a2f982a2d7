//! What else may help with an error of a condition.

use crate::{
    ast::{Check, Expr, Right},
    collect::{Collection, Entry},
    diagnostic::TextError,
    expand::words,
    suggest,
};

/// Says in which macro it is, or which list may be meant by a value that does not fit.
pub(super) fn more(error: TextError, tree: &Expr, owner: Option<&str>, all: &Collection) -> TextError {
    if let Some(name) = &error.within {
        let place = all.macros.visible(owner, name).map_or_else(String::new, |object| {
            let line = object.place.mark().line.saturating_add(1);
            format!(", {}:{line}", object.place.source().name)
        });
        let space = if error.help.is_empty() { "" } else { " " };
        let help = format!("{}{space}it is in the macro '{name}'{place}", error.help);
        return error.help(help);
    }
    if !error.help.is_empty() {
        return error;
    }
    let names = all.lists.names(owner);
    let mut values = check_at(tree, error.offset).into_iter().flat_map(|check| bare(&check.right));
    let near = values.find_map(|value| suggest::nearest(value, names.iter().copied()));
    error.help(near.map(|list| format!("did you mean the list '{list}'?")).unwrap_or_default())
}

/// Words that are looked at for all unused lists of a load.
pub(super) const MAX_WORDS: usize = 20_000;

/// What may be an unused list's name, misspelled: such a word is an ordinary value.
pub(super) fn misspelled(list: &str, all: &Collection, left: &mut usize) -> String {
    let rules = all.rules.entries().iter().filter_map(Entry::current).map(|rule| &rule.condition);
    let macros = all.macros.entries().iter().filter_map(Entry::current).map(|object| &object.condition);
    let words = rules.chain(macros).flat_map(|condition| words(&condition.text)).take_while(|_| {
        *left = left.saturating_sub(1);
        *left > 0
    });
    suggest::nearest(list, words).map(|word| format!("is '{word}' meant to be it?")).unwrap_or_default()
}

/// The comparison whose right side starts there.
fn check_at(tree: &Expr, offset: usize) -> Option<&Check> {
    let mut left = vec![tree];
    while let Some(next) = left.pop() {
        match next {
            Expr::And(members) | Expr::Or(members) => left.extend(members),
            Expr::Not(inner) => left.push(inner),
            Expr::Check(check) if check.value == offset => return Some(check),
            _ => {}
        }
    }
    None
}

/// The values that may be names of lists.
fn bare(right: &Right) -> impl Iterator<Item = &str> {
    let (values, name): (&[Vec<u8>], _) = match right {
        Right::List(values) | Right::Modified(_, values) => (values, None),
        Right::Literal(value) => (std::slice::from_ref(value), None),
        Right::ListName(name) | Right::ModifiedName(_, name) => (&[], Some(name.text.as_str())),
        Right::None | Right::Operand(_) => (&[], None),
    };
    values.iter().filter_map(|value| std::str::from_utf8(value).ok()).chain(name)
}
