//! FalcoRule and FalcoRuleException → rules file: one translation for the operator and for people who want to see it.

use serde::Serialize;

use crate::{
    FalcoRuleExceptionSpec, FalcoRuleSpec,
    items::{Exception, List, Macro, Priority, Rule, Source},
};

/// An item of a rules file. Lists and macros go first: a rule sees them wherever they stand, but a reader looks up.
#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    List(&'a List),
    Macro(&'a Macro),
    Rule(RuleItem<'a>),
}

/// A rule with the keys of the rules file; the resource spells its enums the Kubernetes way.
#[derive(Serialize)]
struct RuleItem<'a> {
    rule: &'a str,
    desc: &'a str,
    condition: &'a str,
    output: &'a str,
    priority: Priority,
    source: Source,
    enabled: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exceptions: &'a [Exception],
}

impl<'a> From<&'a Rule> for RuleItem<'a> {
    fn from(rule: &'a Rule) -> Self {
        let Rule { rule, desc, condition, output, priority, source, tags, enabled, exceptions } = rule;
        Self {
            rule,
            desc,
            condition,
            output,
            priority: *priority,
            source: *source,
            enabled: *enabled,
            tags,
            exceptions,
        }
    }
}

impl FalcoRuleSpec {
    /// The spec as the text of a Falco rules file; `raw` is given back unchanged.
    pub fn to_rules_file(&self) -> Result<String, serde_saphyr::ser::Error> {
        if let Some(raw) = &self.raw {
            return Ok(raw.clone());
        }
        let lists = self.lists.iter().flatten().map(Item::List);
        let macros = self.macros.iter().flatten().map(Item::Macro);
        let rules = self.rules.iter().flatten().map(|rule| Item::Rule(rule.into()));
        let items: Vec<_> = lists.chain(macros).chain(rules).collect();
        to_yaml(&items)
    }
}

/// A rule that is there already, with one more exception.
#[derive(Serialize)]
struct Tuned<'a> {
    rule: &'a str,
    exceptions: [Exception; 1],
    #[serde(rename = "override")]
    how: Append,
}

#[derive(Serialize)]
struct Append {
    exceptions: &'static str,
}

impl FalcoRuleExceptionSpec {
    /// The spec as the text of a Falco rules file that adds an exception called `name` to the rule.
    pub fn to_rules_file(&self, name: &str) -> Result<String, serde_saphyr::ser::Error> {
        let Self { rule, fields, comps, values, reason: _, expires_at: _ } = self;
        let exception = Exception {
            name: name.to_owned(),
            fields: fields.clone(),
            comps: comps.clone(),
            values: values.clone(),
        };
        to_yaml(&[Tuned { rule, exceptions: [exception], how: Append { exceptions: "append" } }])
    }
}

/// Unfolded: a column in a message is then the column in the condition.
fn to_yaml(items: &impl Serialize) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(items, options)
}
