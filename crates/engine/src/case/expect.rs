//! What a case expects, and how the alerts that came differ from it.

use std::fmt;

use saker_alert::Alert;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One alert that must come. What is not said is not compared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAlert {
    /// Name of the rule.
    pub rule: String,
    /// The whole message, without time and priority.
    pub output: Option<String>,
    /// Some of the alert's output fields.
    #[serde(default)]
    pub output_fields: Map<String, Value>,
}

/// `none`, or the list of alerts.
pub(super) fn parse(expect: Value) -> Result<Vec<ExpectedAlert>, String> {
    match expect {
        Value::String(word) if word == "none" => Ok(Vec::new()),
        Value::Array(alerts) if !alerts.is_empty() => super::from_value(Value::Array(alerts)),
        _ => Err("`expect` is `none` or a list of alerts `{rule: …, output_fields: {…}}`".to_owned()),
    }
}

/// A difference between what came and what was expected, for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Mismatch {
    /// Other rules, or in another order, or another number of times.
    Rules {
        /// Names of the rules that should have fired.
        want: Vec<String>,
        /// Names of the rules that did.
        got: Vec<String>,
    },
    /// A field of the output, or the whole message under the name `output`.
    Field {
        /// The rule that fired.
        rule: String,
        /// The field.
        field: String,
        /// Its value in the case.
        want: Value,
        /// Its value in the alert; `None` if the rule's output does not have it.
        got: Option<Value>,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules { want, got } => write!(f, "expected {}, got {}", names(want), names(got)),
            Self::Field { rule, field, want, got: Some(got) } => {
                write!(f, "{rule}: expected {field} = {want}, got {got}")
            }
            Self::Field { rule, field, .. } => write!(f, "{rule}: its output has no field '{field}'"),
        }
    }
}

fn names(rules: &[String]) -> String {
    if rules.is_empty() { "no alert".to_owned() } else { format!("alerts of '{}'", rules.join("', '")) }
}

/// Every difference; empty if the case holds.
pub(super) fn compare(want: &[ExpectedAlert], got: &[Alert]) -> Vec<Mismatch> {
    let wanted: Vec<_> = want.iter().map(|w| w.rule.clone()).collect();
    let fired: Vec<_> = got.iter().map(|g| g.rule.clone()).collect();
    if wanted != fired {
        return vec![Mismatch::Rules { want: wanted, got: fired }];
    }
    want.iter().zip(got).flat_map(|(want, got)| differences(want, got)).collect()
}

fn differences(want: &ExpectedAlert, got: &Alert) -> Vec<Mismatch> {
    let text = Value::from(got.message.as_str());
    let output = want.output.iter().map(|o| ("output", Value::from(o.as_str()), Some(&text)));
    let fields = want.output_fields.iter().map(|(k, v)| (k.as_str(), v.clone(), got.output_fields.get(k)));
    let wrong = output.chain(fields).filter(|(_, want, got)| Some(want) != *got);
    wrong
        .map(|(field, want, got_value)| Mismatch::Field {
            rule: got.rule.clone(),
            field: field.to_owned(),
            want,
            got: got_value.cloned(),
        })
        .collect()
}
