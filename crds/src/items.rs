//! What a FalcoRule holds: rules, macros, lists, with the keys of Falco's rules files.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A rule: a condition, and what to say when an event meets it.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name, as alerts carry it. The name of an existing rule replaces that rule.
    #[schemars(length(min = 1, max = 256))]
    pub rule: String,

    /// What the rule detects and why that matters.
    #[schemars(length(max = 4096))]
    pub desc: String,

    /// The condition, for example `open_write and fd.name startswith /etc/`.
    #[schemars(length(min = 1, max = 65536))]
    pub condition: String,

    /// The text of the alert; `%field` is replaced by the field's value, for example `File %fd.name written`.
    #[schemars(length(min = 1, max = 8192))]
    pub output: String,

    /// How bad it is.
    pub priority: Priority,

    /// Where the events come from.
    #[serde(default)]
    pub source: Source,

    /// Words to group rules by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub tags: Vec<String>,

    /// Whether the rule raises alerts.
    #[serde(default = "enabled")]
    pub enabled: bool,

    /// What the rule shall pass over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exceptions: Vec<Exception>,
}

/// Events that a rule passes over: one row of values matches when all its fields do.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
pub struct Exception {
    /// The name, unique within the rule.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,

    /// The fields that are compared, for example `proc.name`.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub fields: Vec<String>,

    /// The operator for each field; `=` for all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 32)))]
    pub comps: Vec<String>,

    /// Rows of values, each with one value per field. A value may itself be a list where the operator takes one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(length(min = 1, max = 64)))]
    pub values: Vec<Vec<AnyValue>>,
}

/// A condition with a name.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
pub struct Macro {
    /// The name: letters, digits and underscores.
    #[serde(rename = "macro")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^[a-zA-Z]+[a-zA-Z0-9_]*$"))]
    pub name: String,

    /// The condition that the name stands for.
    #[schemars(length(min = 1, max = 65536))]
    pub condition: String,
}

/// Values with a name.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
pub struct List {
    /// The name: no blanks, quotes, brackets, commas or equals signs.
    #[serde(rename = "list")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r#"^[^()"'\s=,]+$"#))]
    pub name: String,

    /// The values, texts or numbers; the name of another list stands for its values.
    #[schemars(length(max = 10000))]
    pub items: Vec<TextOrNumber>,
}

/// How bad a finding is.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Falco's; a comment on each would make the schema no enum")]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

/// Where events come from.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are Falco's; a comment on each would make the schema no enum")]
pub enum Source {
    #[default]
    Syscall,
    K8sAudit,
}

/// An item of a list.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(untagged)]
pub enum TextOrNumber {
    /// `80`.
    Number(i64),
    /// `sshd`.
    Text(String),
}

impl JsonSchema for TextOrNumber {
    fn schema_name() -> Cow<'static, str> {
        "TextOrNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true })
    }
}

/// A value of an exception: a text, a number, or a list of them.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(transparent)]
pub struct AnyValue(pub serde_json::Value);

impl JsonSchema for AnyValue {
    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

fn enabled() -> bool {
    true
}
