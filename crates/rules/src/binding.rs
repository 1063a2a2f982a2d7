//! What sets the rules of a file apart from those of others: on which machines and events they run, whose their names
//! are, and whether they speak. It travels in a bundle beside the file's text, which stays a rules file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file with a binding defines rules of its own, and changes no others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Whose names the file's rules, macros and lists have: they are seen by files of the same owner alone, and hide
    /// everybody's names from them. Without an owner the names are everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether the file may change what others define.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tunes: bool,
    /// Labels that a machine must have; on others the file is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Requirement>,
    /// By source, the condition that every rule of the file has besides its own; empty if there is none. Rules of a
    /// source that is not listed are refused.
    #[serde(default)]
    pub conditions: BTreeMap<String, String>,
    /// Rules are evaluated and counted, and raise no alert.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// It is one of the values.
    In,
    /// It is none of the values, or not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl Binding {
    /// Whether the file is for the machine with these labels.
    pub fn is_for(&self, labels: &BTreeMap<String, String>) -> bool {
        self.machines.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    /// Whether these labels meet it.
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let label = labels.get(&self.key);
        let listed = label.is_some_and(|label| self.values.contains(label));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_meet_all_requirements_or_the_machine_is_another() {
        let labels =
            [("zone", "a"), ("gpu", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (key, operator, values, holds) in [
            ("zone", Operator::In, &["a", "b"][..], true),
            ("zone", Operator::In, &["b"], false),
            ("disk", Operator::In, &[""], false),
            ("zone", Operator::NotIn, &["a"], false),
            ("disk", Operator::NotIn, &["a"], true),
            ("gpu", Operator::Exists, &[], true),
            ("disk", Operator::Exists, &[], false),
            ("gpu", Operator::DoesNotExist, &[], false),
        ] {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let requirement = Requirement { key: key.to_owned(), operator, values };
            let unmet = Requirement { key: "no".to_owned(), operator: Operator::Exists, values: Vec::new() };
            assert_eq!(requirement.holds(&labels), holds, "{requirement:?}");
            let bound = |machines| Binding { machines, ..Binding::default() };
            assert_eq!(bound(vec![requirement.clone()]).is_for(&labels), holds);
            assert!(!bound(vec![requirement, unmet]).is_for(&labels));
        }
    }
}
