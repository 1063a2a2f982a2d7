//! Values of keys, with the errors of specification §1.2.

use crate::{
    diagnostic::{Code, Diagnostic},
    document::Decoded,
    place::Place,
    suggest,
    yaml::{Node, Value},
};

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Scalar {
    /// The same, as another kind of place below `parent`.
    pub(crate) fn at(self, kind: &'static str, parent: &Place) -> Self {
        let place = parent.step(kind, "", self.place.mark());
        Self { place, ..self }
    }
}

/// `LOAD_ERR_YAML_VALIDATE` at a place.
pub(crate) fn invalid(place: &Place, message: impl Into<String>) -> Diagnostic {
    place.diagnostic(Code::LoadErrYamlValidate, message)
}

/// The value of a key that must be there.
pub(crate) fn required<'a>(node: &'a Node, key: &str, place: &Place) -> Decoded<&'a Node> {
    node.get(key).ok_or_else(|| {
        let mut error = invalid(place, format!("Item has no mapping for key '{key}'"));
        let there = suggest::nearest(key, node.entries().iter().map(|(key, _)| &*key.text));
        error.help = there.map(|there| format!("is '{there}' meant to be '{key}'?")).unwrap_or_default();
        error
    })
}

/// A text that must be there.
pub(crate) fn text(node: &Node, key: &str, place: &Place) -> Decoded<Scalar> {
    let value = required(node, key, place)?;
    if value.is_null() {
        return Err(invalid(place, format!("Mapping for key '{key}' is empty")));
    }
    let place = place.step("value for", key, value.mark);
    match &value.value {
        Value::Scalar(text) if text.is_empty() => Err(invalid(&place, "Value must be non-empty")),
        Value::Scalar(text) => Ok(Scalar { text: text.to_string(), place }),
        _ => Err(invalid(&place, "Value is not a scalar value")),
    }
}

/// A truth value that must be there.
pub(crate) fn boolean(node: &Node, key: &str, place: &Place) -> Decoded<bool> {
    let Scalar { text, place } = text(node, key, place)?;
    parse_boolean(&text).ok_or_else(|| {
        let mut error = invalid(&place, "Can't decode YAML scalar value");
        error.help.push_str("use true or false");
        error
    })
}

/// A truth value that may be missing.
pub(crate) fn optional_boolean(node: &Node, key: &str, place: &Place) -> Decoded<Option<bool>> {
    node.get(key).map(|_| boolean(node, key, place)).transpose()
}

/// A whole number that must be there.
pub(crate) fn number(node: &Node, key: &str, place: &Place) -> Decoded<u32> {
    let Scalar { text, place } = text(node, key, place)?;
    parse_number(&text).ok_or_else(|| {
        let mut error = invalid(&place, "Can't decode YAML scalar value");
        error.help = format!("use a whole number from 0 to {}", u32::MAX);
        error
    })
}

/// Texts of a sequence that must be there.
pub(crate) fn sequence(node: &Node, key: &str, place: &Place) -> Decoded<Vec<String>> {
    let value = required(node, key, place)?;
    let place = place.step("value for", key, value.mark);
    let Value::Sequence(items) = &value.value else {
        return Err(invalid(&place, "Value is not a sequence"));
    };
    items.iter().map(|item| element(item, &place)).collect()
}

fn element(item: &Node, place: &Place) -> Decoded<String> {
    match &item.value {
        Value::Scalar(text) => Ok(text.to_string()),
        _ => Err(invalid(&place.step("list item", "", item.mark), "sequence value is not scalar")),
    }
}

/// `yes`, `Yes`, `YES` and so on, as yaml-cpp reads them (specification §1.1).
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let (first, rest) = (text.chars().next()?, text.get(1..)?);
    let capitalised = first.is_ascii_uppercase() && rest.chars().all(|c| c.is_ascii_lowercase());
    if text != lower && text != text.to_ascii_uppercase() && !capitalised {
        return None;
    }
    match lower.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Decimal, `0x` hexadecimal or `0` octal, as yaml-cpp reads integers.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    let text = text.trim_end();
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_values_are_yaml_cpps() {
        for yes in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            assert_eq!(parse_boolean(yes), Some(true), "{yes}");
        }
        for no in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            assert_eq!(parse_boolean(no), Some(false), "{no}");
        }
        for neither in ["", "1", "0", "tRUE", "yEs", "é", "truer"] {
            assert_eq!(parse_boolean(neither), None, "{neither}");
        }
    }

    #[test]
    fn numbers_are_yaml_cpps() {
        assert_eq!(parse_number("26"), Some(26));
        assert_eq!(parse_number("0"), Some(0));
        assert_eq!(parse_number("0x1F"), Some(31));
        assert_eq!(parse_number("010"), Some(8));
        assert_eq!(parse_number("5 "), Some(5));
        for bad in ["", "-1", "0.26.0", "x", "4294967296", "08", " 5"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }
}
