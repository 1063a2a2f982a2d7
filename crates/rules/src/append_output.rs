//! The `append_output` key of the configuration: text and fields added to the outputs of rules
//! (specification §5.4).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::schema::{FieldSpec, Schema, SourceId, field_flags};

/// One entry; it applies to the rules that meet all of its conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppendOutput {
    /// Which rules.
    pub r#match: Match,
    /// Put behind the output, after a blank.
    pub extra_output: Option<String>,
    /// Only in `output_fields`.
    pub extra_fields: Vec<ExtraField>,
    /// Whether the fields that suggest themselves (pod, container) are appended.
    pub suggested_output: bool,
}

/// Which rules an entry applies to; what is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The rule's source.
    pub source: Option<String>,
    /// Tags that the rule has.
    pub tags: BTreeSet<String>,
    /// The rule's name.
    pub rule: Option<String>,
}

/// One field of `extra_fields`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExtraField {
    /// `proc.name`: the value as it is, under its own name.
    Field(String),
    /// `{key: "%proc.name x"}`: text, one key.
    Named(std::collections::BTreeMap<String, String>),
}

impl Match {
    /// Whether it covers a rule.
    pub(crate) fn covers(&self, name: &str, source: &str, tags: &BTreeSet<String>) -> bool {
        let same =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w.is_empty() || w == is);
        same(&self.source, source) && same(&self.rule, name) && self.tags.is_subset(tags)
    }
}

/// A field that goes only into `output_fields`.
pub(crate) struct ExtraOutputField {
    pub(crate) key: String,
    pub(crate) format: String,
    /// Whether the value keeps its type; otherwise it is the rendered text.
    pub(crate) raw: bool,
}

/// What the entries that cover a rule add to its output text.
pub(crate) fn extra_text<'a>(
    entries: impl Iterator<Item = &'a AppendOutput>,
    schema: &Schema,
    source: SourceId,
) -> String {
    let mut text = String::new();
    for entry in entries {
        if let Some(extra) = &entry.extra_output {
            text.push(' ');
            text.push_str(extra);
        }
        if entry.suggested_output {
            text.extend(
                suggested(schema, source).map(|f| format!(" {}=%{}", f.name.replace('.', "_"), f.name)),
            );
        }
    }
    text
}

fn suggested(schema: &Schema, source: SourceId) -> impl Iterator<Item = &FieldSpec> {
    let suggested = schema.fields().iter().filter(|field| field.has(field_flags::SUGGESTED));
    // Without a source for a field there is nothing to suggest, as without the plugin in Falco.
    let filled = suggested.filter(|field| !field.has(field_flags::UNAVAILABLE));
    filled.filter(move |field| schema.find_field(source, field.name).is_some())
}

/// The fields that the entries that cover a rule add; a later one of the same key wins.
pub(crate) fn extra_fields<'a>(entries: impl Iterator<Item = &'a AppendOutput>) -> Vec<ExtraOutputField> {
    let mut fields: Vec<ExtraOutputField> = Vec::new();
    for field in entries.flat_map(|entry| &entry.extra_fields).flat_map(ExtraField::fields) {
        fields.retain(|f| f.key != field.key);
        fields.push(field);
    }
    fields
}

impl ExtraField {
    fn fields(&self) -> Vec<ExtraOutputField> {
        match self {
            Self::Field(name) => {
                vec![ExtraOutputField { key: name.clone(), format: format!("%{name}"), raw: true }]
            }
            Self::Named(fields) => fields
                .iter()
                .map(|(key, format)| ExtraOutputField {
                    key: key.clone(),
                    format: format.clone(),
                    raw: false,
                })
                .collect(),
        }
    }
}
