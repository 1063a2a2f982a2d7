//! `- rule: …`: a definition, a change of an earlier one, or the deprecated lone `enabled`.

use std::collections::BTreeSet;

use saker_alert::Priority;

use crate::{
    diagnostic::{Code, Diagnostic},
    document::{
        Decoded,
        decode::{Scalar, boolean, invalid, number, optional_boolean, sequence, text},
        exceptions::{Exception, Fields, exceptions},
        overrides::{Overrides, check_not_both, warn_append},
    },
    place::Place,
    suggest,
    yaml::{Node, Value},
};

/// The keys of a rule.
pub(crate) const KEYS: [&str; 15] = [
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "source",
    "enabled",
    "tags",
    "exceptions",
    "capture",
    "capture_duration",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
];

/// The keys that `override` may append to, in the order in which they are read.
const APPENDABLE: [&str; 5] = ["condition", "exceptions", "output", "desc", "tags"];

/// The keys that `override` may replace, in the order in which they are read.
const REPLACEABLE: [&str; 11] = [
    "condition",
    "exceptions",
    "output",
    "desc",
    "tags",
    "priority",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
];

/// What an item says about a rule.
#[derive(Debug)]
pub(crate) enum RuleItem {
    Define(Box<Definition>),
    Enable { name: String, enabled: bool, place: Place },
    Update { append: Option<Box<Update>>, replace: Option<Box<Update>>, unexpected: Option<Diagnostic> },
}

/// A whole rule.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) condition: Scalar,
    pub(crate) output: Scalar,
    pub(crate) desc: String,
    pub(crate) priority: Priority,
    pub(crate) source: String,
    pub(crate) enabled: bool,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) capture: Capture,
    pub(crate) warn_evttypes: bool,
    pub(crate) skip_if_unknown_filter: bool,
    pub(crate) place: Place,
}

/// Whether a match starts a recording.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Capture {
    pub(crate) enabled: bool,
    /// Milliseconds; 0 is the default of the configuration.
    pub(crate) duration: u32,
}

/// The keys of a rule that change.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) name: String,
    pub(crate) source: Option<String>,
    pub(crate) condition: Option<Scalar>,
    pub(crate) output: Option<Scalar>,
    pub(crate) desc: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) enabled: Option<bool>,
    pub(crate) tags: Option<BTreeSet<String>>,
    pub(crate) exceptions: Option<Vec<Exception>>,
    pub(crate) capture: Option<bool>,
    pub(crate) capture_duration: Option<u32>,
    pub(crate) warn_evttypes: Option<bool>,
    pub(crate) skip_if_unknown_filter: Option<bool>,
    pub(crate) place: Place,
}

pub(crate) fn rule(node: &Node, file: &Place, warnings: &mut Vec<Diagnostic>) -> Decoded<RuleItem> {
    let name = text(node, "rule", &file.step("rule", "", node.mark))?.text;
    let place = file.step("rule", &name, node.mark);
    let append = optional_boolean(node, "append", &place)?.unwrap_or(false);
    if append {
        warnings.push(warn_append(&place));
    }
    let overrides = Overrides::read(node, &APPENDABLE, &REPLACEABLE, &place)?;
    check_not_both(append, &overrides, &place)?;
    if !overrides.is_empty() {
        return overriding(node, &name, &overrides, &place, warnings);
    }
    if append {
        return appending(node, name, place, warnings);
    }
    if ["condition", "output", "desc", "priority"].iter().all(|key| node.get(key).is_none()) {
        return enabling(node, name, place, warnings);
    }
    Ok(RuleItem::Define(Box::new(definition(node, name, place, warnings)?)))
}

fn overriding(
    node: &Node,
    name: &str,
    overrides: &Overrides,
    place: &Place,
    warnings: &mut Vec<Diagnostic>,
) -> Decoded<RuleItem> {
    let mut read = |keys: &BTreeSet<String>, order: &[&str], operation| -> Decoded<_> {
        if keys.is_empty() {
            return Ok(None);
        }
        let mut update = Update::new(name.to_owned(), place.clone());
        for key in order.iter().filter(|key| keys.contains(**key)) {
            update.read(node, key, operation, warnings)?;
        }
        Ok(Some(Box::new(update)))
    };
    let append = read(&overrides.append, &APPENDABLE, "append")?;
    let replace = read(&overrides.replace, &REPLACEABLE, "replace")?;
    let mut keys = REPLACEABLE;
    keys.sort_unstable();
    Ok(RuleItem::Update { append, replace, unexpected: overrides.unexpected(node, &keys, place) })
}

/// `append: true`: only the condition and the exceptions are looked at.
fn appending(node: &Node, name: String, place: Place, warnings: &mut Vec<Diagnostic>) -> Decoded<RuleItem> {
    let mut update = Update::new(name, place);
    update.source = update_source(node, &update.place)?;
    for key in ["condition", "exceptions"].into_iter().filter(|key| node.get(key).is_some()) {
        update.read(node, key, "append", warnings)?;
    }
    Ok(RuleItem::Update { append: Some(Box::new(update)), replace: None, unexpected: None })
}

fn enabling(node: &Node, name: String, place: Place, warnings: &mut Vec<Diagnostic>) -> Decoded<RuleItem> {
    let enabled = boolean(node, "enabled", &place)?;
    let message = "The standalone 'enabled' key usage is deprecated. The correct approach requires also a \
                   'replace' entry under the 'override' key (i.e. 'enabled: replace').";
    warnings.push(place.diagnostic(Code::LoadDeprecatedItem, message));
    Ok(RuleItem::Enable { name, enabled, place })
}

fn definition(
    node: &Node,
    name: String,
    place: Place,
    warnings: &mut Vec<Diagnostic>,
) -> Decoded<Definition> {
    let condition = text(node, "condition", &place)?.at("rule condition", &place);
    let output = text(node, "output", &place)?.at("rule output", &place);
    let output = Scalar { text: output.text.trim().to_owned(), ..output };
    let desc = text(node, "desc", &place)?.text;
    let priority = priority(node, &place)?;
    let source = match node.get("source") {
        Some(_) => text(node, "source", &place)?.text,
        None => "syscall".to_owned(),
    };
    let flag =
        |key, default| -> Decoded<bool> { Ok(optional_boolean(node, key, &place)?.unwrap_or(default)) };
    Ok(Definition {
        enabled: flag("enabled", true)?,
        warn_evttypes: flag("warn_evttypes", true)?,
        skip_if_unknown_filter: flag("skip-if-unknown-filter", false)?,
        capture: capture(node, &place)?,
        tags: match node.get("tags") {
            Some(_) => tags(node, &place)?,
            None => BTreeSet::new(),
        },
        exceptions: exceptions(node, Fields::Required, &place, warnings)?,
        name,
        condition,
        output,
        desc,
        priority,
        source,
        place,
    })
}

fn capture(node: &Node, place: &Place) -> Decoded<Capture> {
    let enabled = optional_boolean(node, "capture", place)?.unwrap_or(false);
    let duration = node.get("capture_duration").map(|_| number(node, "capture_duration", place));
    Ok(Capture { enabled, duration: duration.transpose()?.unwrap_or(0) })
}

fn tags(node: &Node, place: &Place) -> Decoded<BTreeSet<String>> {
    Ok(sequence(node, "tags", place)?.into_iter().collect())
}

fn priority(node: &Node, place: &Place) -> Decoded<Priority> {
    let Scalar { text, place } = text(node, "priority", place)?.at("rule priority", place);
    text.parse().map_err(|unknown: saker_alert::UnknownPriority| {
        let mut error = invalid(&place, "Invalid priority");
        let known = Priority::ALL.map(|priority| priority.name().to_lowercase());
        let help = suggest::did_you_mean(&text.to_lowercase(), known.iter().map(String::as_str));
        error.help = format!("{help}{}{unknown}", if help.is_empty() { "" } else { " " });
        error
    })
}

/// The source of an item that changes a rule: empty is as good as missing.
fn update_source(node: &Node, place: &Place) -> Decoded<Option<String>> {
    match node.get("source").map(|source| &source.value) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Scalar(source)) if source.is_empty() => Ok(None),
        Some(_) => Ok(Some(text(node, "source", place)?.text)),
    }
}

impl Update {
    fn new(name: String, place: Place) -> Self {
        Self {
            name,
            source: None,
            condition: None,
            output: None,
            desc: None,
            priority: None,
            enabled: None,
            tags: None,
            exceptions: None,
            capture: None,
            capture_duration: None,
            warn_evttypes: None,
            skip_if_unknown_filter: None,
            place,
        }
    }

    /// Reads one key; `operation` is `append` or `replace`.
    fn read(
        &mut self,
        node: &Node,
        key: &str,
        operation: &str,
        warnings: &mut Vec<Diagnostic>,
    ) -> Decoded<()> {
        let place = self.place.clone();
        if node.get(key).is_none() {
            let message =
                format!("An {operation} override for '{key}' was specified but '{key}' is not defined");
            return Err(invalid(&place, message));
        }
        match key {
            "condition" => {
                self.source = update_source(node, &place)?;
                self.condition = Some(text(node, key, &place)?.at("rule condition", &place));
            }
            "exceptions" => {
                let fields = if operation == "append" { Fields::Optional } else { Fields::Required };
                self.exceptions = Some(exceptions(node, fields, &place, warnings)?);
            }
            "output" => self.output = Some(text(node, key, &place)?.at("rule output", &place)),
            "desc" => self.desc = Some(text(node, key, &place)?.text),
            "tags" => self.tags = Some(tags(node, &place)?),
            "priority" => self.priority = Some(priority(node, &place)?),
            "enabled" => self.enabled = Some(boolean(node, key, &place)?),
            "warn_evttypes" => self.warn_evttypes = Some(boolean(node, key, &place)?),
            "skip-if-unknown-filter" => self.skip_if_unknown_filter = Some(boolean(node, key, &place)?),
            "capture" => self.capture = Some(boolean(node, key, &place)?),
            "capture_duration" => self.capture_duration = Some(number(node, key, &place)?),
            _ => {}
        }
        Ok(())
    }

    /// Whether there is anything to change.
    pub(crate) fn is_empty(&self) -> bool {
        let texts = self.condition.is_none() && self.output.is_none() && self.desc.is_none();
        let sets = self.tags.is_none() && self.exceptions.is_none();
        let flags = self.enabled.is_none() && self.warn_evttypes.is_none();
        let others = self.skip_if_unknown_filter.is_none() && self.priority.is_none();
        texts && sets && flags && others && self.capture.is_none() && self.capture_duration.is_none()
    }
}
