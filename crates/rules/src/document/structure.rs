//! The shape of a file after Falco's JSON schema for rules (specification §1.1). It is only reported:
//! no file fails for it.

use crate::{
    document::decode::parse_number,
    yaml::{Node, Value},
};

/// What a value must look like. Scalars carry no type, so any scalar is a string.
enum Shape {
    Any,
    Text,
    /// Only these two words: the loader takes more.
    Boolean,
    Integer,
    /// One of these words; case does not matter.
    Word(&'static [&'static str]),
    /// `append` or `replace`.
    Operation,
    Array(&'static Shape),
    Object(&'static Object),
}

struct Object {
    keys: &'static [(&'static str, Shape)],
    required: &'static [&'static str],
    at_least: usize,
}

static PRIORITIES: [&str; 9] =
    ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "INFORMATIONAL", "DEBUG"];

static FILE: Shape = Shape::Array(&Shape::Object(&ITEM));
static ITEM: Object = Object {
    keys: &[
        ("required_engine_version", Shape::Text),
        ("required_plugin_versions", Shape::Array(&Shape::Object(&PLUGIN))),
        ("macro", Shape::Text),
        ("condition", Shape::Text),
        ("list", Shape::Text),
        ("items", Shape::Array(&Shape::Text)),
        ("rule", Shape::Text),
        ("desc", Shape::Text),
        ("enabled", Shape::Boolean),
        ("output", Shape::Text),
        ("append", Shape::Boolean),
        ("priority", Shape::Word(&PRIORITIES)),
        ("capture", Shape::Boolean),
        ("capture_duration", Shape::Integer),
        ("source", Shape::Text),
        ("exceptions", Shape::Array(&Shape::Object(&EXCEPTION))),
        ("override", Shape::Object(&OVERRIDE)),
        ("tags", Shape::Array(&Shape::Text)),
        ("warn_evttypes", Shape::Boolean),
        ("skip-if-unknown-filter", Shape::Boolean),
    ],
    required: &[],
    at_least: 0,
};
static EXCEPTION: Object = Object {
    keys: &[("name", Shape::Text), ("fields", Shape::Any), ("comps", Shape::Any), ("values", Shape::Any)],
    required: &["name"],
    at_least: 0,
};
static PLUGIN: Object = Object {
    keys: &[
        ("name", Shape::Text),
        ("version", Shape::Text),
        ("alternatives", Shape::Array(&Shape::Object(&ALTERNATIVE))),
    ],
    required: &["name", "version"],
    at_least: 0,
};
static ALTERNATIVE: Object = Object {
    keys: &[("name", Shape::Text), ("version", Shape::Text)],
    required: &["name", "version"],
    at_least: 0,
};
static OVERRIDE: Object = Object {
    keys: &[
        ("items", Shape::Operation),
        ("desc", Shape::Operation),
        ("condition", Shape::Operation),
        ("output", Shape::Operation),
        ("priority", Shape::Operation),
        ("enabled", Shape::Operation),
        ("exceptions", Shape::Operation),
        ("capture", Shape::Operation),
        ("capture_duration", Shape::Operation),
        ("tags", Shape::Operation),
        ("warn_evttypes", Shape::Operation),
        ("skip-if-unknown-filter", Shape::Operation),
    ],
    required: &[],
    at_least: 1,
};

/// What deviates in a document, each with the way to it: `[0].exceptions[1]: unknown key 'value'`.
pub(crate) fn check(document: &Node) -> Vec<String> {
    let mut found = Vec::new();
    FILE.check(document, &mut String::new(), &mut found);
    found
}

impl Shape {
    fn check(&self, node: &Node, path: &mut String, found: &mut Vec<String>) {
        match (self, &node.value) {
            // Empty entries are skipped by the loader, too.
            (Self::Any, _) | (Self::Object(_), Value::Null) => {}
            (Self::Array(shape), Value::Sequence(nodes)) => {
                for (i, node) in nodes.iter().enumerate() {
                    within(path, &format!("[{i}]"), |path| shape.check(node, path, found));
                }
            }
            (Self::Object(object), Value::Map(_)) => object.check(node, path, found),
            (_, Value::Scalar(text)) if self.accepts(text) => {}
            _ => found.push(format!("{path}: {} expected", self.name())),
        }
    }

    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Integer => parse_number(text.strip_prefix('-').unwrap_or(text)).is_some(),
            Self::Word(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::Operation => matches!(text, "append" | "replace"),
            Self::Any | Self::Array(_) | Self::Object(_) => false,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Operation => "append or replace".to_owned(),
            Self::Array(_) => "a sequence".to_owned(),
            Self::Object(_) => "a mapping".to_owned(),
        }
    }
}

impl Object {
    fn check(&self, node: &Node, path: &mut String, found: &mut Vec<String>) {
        for (key, value) in node.entries() {
            match self.keys.iter().find(|(name, _)| *name == &*key.text) {
                Some((name, shape)) => {
                    within(path, &format!(".{name}"), |path| shape.check(value, path, found));
                }
                None => found.push(format!("{path}: unknown key '{}'", key.text)),
            }
        }
        for key in self.required.iter().filter(|key| node.get(key).is_none()) {
            found.push(format!("{path}: the key '{key}' is missing"));
        }
        if node.entries().len() < self.at_least {
            found.push(format!("{path}: at least one key expected"));
        }
    }
}

/// Runs `check` one step down the path.
fn within(path: &mut String, step: &str, check: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    check(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::documents;

    fn check_text(text: &str, expected: &[&str]) {
        assert_eq!(check(&documents(text).unwrap()[0]), expected, "{text}");
    }

    #[test]
    fn deviations_are_named_with_their_path() {
        check_text("- {rule: x, priority: info, tags: [a], enabled: \"false\"}", &[]);
        check_text("- list: x\n  items: [1, a]\n  override: {items: append}", &[]);
        check_text(
            "- {rule: x, exceptions: [{name: a, value: b}]}",
            &["[0].exceptions[0]: unknown key 'value'"],
        );
        check_text("- {rule: x, exceptions: [{}]}", &["[0].exceptions[0]: the key 'name' is missing"]);
        check_text("- {rule: x, override: {}}", &["[0].override: at least one key expected"]);
        check_text("- {rule: x, enabled: yes}", &["[0].enabled: true or false expected"]);
        check_text("- {foo: bar}", &["[0]: unknown key 'foo'"]);
        check_text("a: b", &[": a sequence expected"]);
    }
}
