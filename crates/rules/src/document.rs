//! The items of a rules file: keys are checked here, meaning is [`crate::collect`]'s.

pub(crate) mod decode;
pub(crate) mod exceptions;
pub(crate) mod overrides;
pub(crate) mod requirements;
pub(crate) mod rule;
pub(crate) mod structure;

use crate::{
    diagnostic::{Code, Diagnostic},
    place::Place,
    requirements::{EngineRequirement, PluginRequirement},
    suggest,
    yaml::{Node, Value},
};
use decode::{Scalar, invalid, optional_boolean, sequence, text};
use overrides::{Overrides, check_not_both, warn_append};
use rule::RuleItem;

/// Decoded keys, or what is wrong with them.
pub(crate) type Decoded<T> = Result<T, Diagnostic>;

/// One entry of a rules file.
#[derive(Debug)]
pub(crate) enum Item {
    Engine(EngineRequirement),
    Plugins(Vec<PluginRequirement>),
    List(ListItem),
    Macro(MacroItem),
    Rule(RuleItem),
}

/// `- list: …`
#[derive(Debug)]
pub(crate) struct ListItem {
    pub(crate) name: String,
    pub(crate) items: Vec<String>,
    pub(crate) append: bool,
    pub(crate) place: Place,
}

/// `- macro: …`
#[derive(Debug)]
pub(crate) struct MacroItem {
    pub(crate) name: String,
    pub(crate) condition: Scalar,
    pub(crate) append: bool,
    pub(crate) place: Place,
}

/// The kinds of items in the order in which their keys are looked for (specification §1.1).
const KINDS: [Kind; 5] = [
    Kind {
        key: "required_engine_version",
        keys: &["required_engine_version"],
        read: |item, place, _| requirements::engine(item, place).map(Item::Engine),
    },
    Kind {
        key: "required_plugin_versions",
        keys: &["required_plugin_versions"],
        read: |item, place, _| requirements::plugins(item, place).map(Item::Plugins),
    },
    Kind { key: "list", keys: &["list", "items", "append", "override"], read: list },
    Kind { key: "macro", keys: &["macro", "condition", "append", "override"], read: macro_ },
    Kind { key: "rule", keys: &rule::KEYS, read: |i, p, w| rule::rule(i, p, w).map(Item::Rule) },
];

struct Kind {
    key: &'static str,
    keys: &'static [&'static str],
    read: fn(&Node, &Place, &mut Vec<Diagnostic>) -> Decoded<Item>,
}

/// The entries of a document; an empty document has none.
pub(crate) fn entries<'a>(document: &'a Node, file: &Place) -> Decoded<&'a [Node]> {
    match &document.value {
        Value::Null => Ok(&[]),
        Value::Sequence(items) => Ok(items),
        Value::Map(_) => Err(invalid(file, "Rules content is not yaml array of objects")),
        Value::Scalar(_) => Err(invalid(file, "Rules content is not yaml")),
    }
}

/// Reads one entry. `None` for what is ignored: empty entries and unknown kinds (with a warning).
pub(crate) fn item(node: &Node, file: &Place, warnings: &mut Vec<Diagnostic>) -> Decoded<Option<Item>> {
    if node.is_null() {
        return Ok(None);
    }
    let place = file.step("rules content item", "", node.mark);
    let Value::Map(_) = node.value else {
        let message = "Unexpected element type. Each element should be a yaml associative array.";
        return Err(invalid(&place, message));
    };
    let Some(kind) = KINDS.iter().find(|kind| node.get(kind.key).is_some()) else {
        let mut warning = place.diagnostic(Code::LoadUnknownItem, "Unknown top level item");
        let keys = || KINDS.iter().map(|kind| kind.key);
        let mut help = node.entries().iter().map(|(key, _)| suggest::did_you_mean(&key.text, keys()));
        warning.help = help.find(|help| !help.is_empty()).unwrap_or_default();
        warnings.push(warning);
        return Ok(None);
    };
    let item = (kind.read)(node, file, warnings)?;
    warn_unknown_keys(node, kind, file, warnings);
    Ok(Some(item))
}

fn warn_unknown_keys(node: &Node, kind: &Kind, file: &Place, warnings: &mut Vec<Diagnostic>) {
    let name = match &node.get(kind.key).map(|n| &n.value) {
        Some(Value::Scalar(name)) if !kind.key.starts_with("required") => name.to_string(),
        _ => String::new(),
    };
    let item_type =
        if kind.key == "required_plugin_versions" { "required plugin versions" } else { kind.key };
    let place = file.step(item_type, &name, node.mark);
    for (key, _) in node.entries().iter().filter(|(key, _)| !kind.keys.contains(&&*key.text)) {
        let place = place.step("value for", &key.text, key.mark);
        let message = format!("Unknown key '{}'. The key will be ignored.", key.text);
        let mut warning = place.diagnostic(Code::LoadUnknownKey, message);
        warning.help = match suggest::did_you_mean(&key.text, kind.keys.iter().copied()) {
            none if none.is_empty() => format!("a {} has the keys {}", kind.key, kind.keys.join(", ")),
            help => help,
        };
        warnings.push(warning);
    }
}

fn list(node: &Node, file: &Place, warnings: &mut Vec<Diagnostic>) -> Decoded<Item> {
    let name = text(node, "list", &file.step("list", "", node.mark))?.text;
    let place = file.step("list", &name, node.mark);
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
    if name.contains(|c: char| blank(c) || "()\"'=,".contains(c)) {
        let message = "List has an invalid name. List names should match a regular expression: ";
        let message = format!("{message}([^()\"'[:space:]=,]+)");
        warnings.push(place.diagnostic(Code::LoadInvalidListName, message));
    }
    let items = sequence(node, "items", &place)?;
    let append = appends(node, "items", &place, warnings)?;
    Ok(Item::List(ListItem { name, items, append, place }))
}

fn macro_(node: &Node, file: &Place, warnings: &mut Vec<Diagnostic>) -> Decoded<Item> {
    let name = text(node, "macro", &file.step("macro", "", node.mark))?.text;
    let place = file.step("macro", &name, node.mark);
    let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !letter || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let message = "Macro has an invalid name. Macro names should match a regular expression: ";
        let message = format!("{message}([a-zA-Z]+[a-zA-Z0-9_]*)");
        warnings.push(place.diagnostic(Code::LoadInvalidMacroName, message));
    }
    let condition = text(node, "condition", &place)?.at("macro condition", &place);
    let append = appends(node, "condition", &place, warnings)?;
    Ok(Item::Macro(MacroItem { name, condition, append, place }))
}

/// Whether a list or macro, whose only content is `key`, adds to the one before.
fn appends(node: &Node, key: &str, place: &Place, warnings: &mut Vec<Diagnostic>) -> Decoded<bool> {
    let append = optional_boolean(node, "append", place)?.unwrap_or(false);
    if append {
        warnings.push(warn_append(place));
    }
    let overrides = Overrides::read(node, &[key], &[key], place)?;
    check_not_both(append, &overrides, place)?;
    Ok(append || overrides.append.contains(key))
}
