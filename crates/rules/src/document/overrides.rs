//! The `override` key: which keys of an item add to, or take the place of, what was there.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Code, Diagnostic},
    document::{Decoded, decode::invalid},
    place::Place,
    suggest,
    yaml::{Key, Node, Value},
};

/// The keys of each operation.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) append: BTreeSet<String>,
    pub(crate) replace: BTreeSet<String>,
}

impl Overrides {
    /// Reads the key of an item; `append` and `replace` name what its kind allows.
    pub(crate) fn read(node: &Node, append: &[&str], replace: &[&str], place: &Place) -> Decoded<Self> {
        let mut overrides = Self::default();
        let Some(value) = node.get("override") else { return Ok(overrides) };
        let place = place.step("overrides", "", value.mark);
        if let Value::Sequence(_) = value.value {
            return Err(invalid(&place, "Value of override must be a mapping"));
        }
        for (key, operation) in value.entries() {
            overrides.add(key, operation, [append, replace], &place)?;
        }
        Ok(overrides)
    }

    fn add(&mut self, key: &Key, operation: &Node, allowed: [&[&str]; 2], place: &Place) -> Decoded<()> {
        let name = &*key.text;
        let at_key = place.step("overrides", name, key.mark);
        let [append, replace] = allowed.map(|keys| keys.contains(&name));
        match operation_of(operation) {
            "append" if append => self.append.insert(name.to_owned()),
            "append" => {
                let message = format!("Key '{name}' cannot be appended to, use 'replace' instead");
                return Err(unknown_key(&at_key, message, name, allowed));
            }
            "replace" if replace => self.replace.insert(name.to_owned()),
            "replace" => {
                return Err(unknown_key(&at_key, format!("Key '{name}' cannot be replaced"), name, allowed));
            }
            other => {
                let place = place.step("value for", name, operation.mark);
                let mut error = invalid(&place, unknown_operation(name, other, append, replace));
                error.help = suggest::did_you_mean(other, ["append", "replace"].into_iter());
                return Err(error);
            }
        };
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.append.is_empty() && self.replace.is_empty()
    }

    fn contains(&self, key: &str) -> bool {
        self.append.contains(key) || self.replace.contains(key)
    }

    /// The first of `keys` that the item has although no operation is given for it.
    pub(crate) fn unexpected(&self, node: &Node, keys: &[&str], place: &Place) -> Option<Diagnostic> {
        let mut present = keys.iter().filter_map(|key| Some((*key, node.get(key)?)));
        let (key, value) = present.find(|(key, _)| !self.contains(key))?;
        let message = format!("Unexpected key '{key}': no corresponding entry under 'override' is defined.");
        Some(invalid(&place.step("overrides", key, value.mark), message))
    }
}

fn operation_of(node: &Node) -> &str {
    match &node.value {
        Value::Scalar(text) => text,
        Value::Null => "null",
        Value::Sequence(_) | Value::Map(_) => "",
    }
}

fn unknown_key(place: &Place, message: String, name: &str, allowed: [&[&str]; 2]) -> Diagnostic {
    let mut error = invalid(place, message);
    error.help = suggest::did_you_mean(name, allowed.into_iter().flatten().copied());
    error
}

fn unknown_operation(key: &str, operation: &str, append: bool, replace: bool) -> String {
    let allowed = [("append", append), ("replace", replace)].into_iter().filter(|(_, allowed)| *allowed);
    let allowed: Vec<_> = allowed.map(|(name, _)| name).collect();
    format!(
        "Invalid override operation for key '{key}': '{operation}'. Allowed values are: {}",
        allowed.join(" ")
    )
}

/// The warning for `append: true`.
pub(crate) fn warn_append(place: &Place) -> Diagnostic {
    let message = "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under \
                   'override' instead.";
    place.diagnostic(Code::LoadDeprecatedItem, message)
}

/// `append: true` and `override` exclude each other.
pub(crate) fn check_not_both(append: bool, overrides: &Overrides, place: &Place) -> Decoded<()> {
    if !append || overrides.is_empty() {
        return Ok(());
    }
    let message = "Keys 'override' and 'append: true' cannot be used together. Add an 'append' entry \
                   (e.g. 'condition: append') under 'override' instead.";
    Err(invalid(place, message))
}
