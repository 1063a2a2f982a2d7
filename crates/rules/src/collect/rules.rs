//! Rules: definition, change, enabling.

use std::{collections::BTreeSet, sync::Arc};

use saker_alert::Priority;

use crate::{
    collect::{Collection, Replaced, may_change, may_define, no_such},
    diagnostic::{Code, Diagnostic},
    document::{
        Decoded,
        decode::Scalar,
        exceptions::Exception,
        rule::{Capture, Definition, RuleItem, Update},
    },
    exceptions,
    expand::Written,
    place::Place,
    schema::{Schema, SourceId},
    suggest,
};

/// A rule before expansion.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) condition: Written,
    pub(crate) output: Scalar,
    pub(crate) desc: String,
    pub(crate) priority: Priority,
    pub(crate) source: String,
    /// `None` for a source that nobody provides: the rule is skipped.
    pub(crate) source_id: Option<SourceId>,
    pub(crate) enabled: bool,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) capture: Capture,
    pub(crate) warn_evttypes: bool,
    pub(crate) skip_if_unknown_filter: bool,
    pub(crate) place: Place,
}

impl Collection {
    pub(super) fn rule(&mut self, item: RuleItem, warnings: &mut Vec<Diagnostic>) -> Decoded<()> {
        match item {
            RuleItem::Define(definition) => self.define_rule(*definition, warnings),
            RuleItem::Enable { name, enabled, place } => self.enable_rule(&name, enabled, &place),
            RuleItem::Update { append, replace, unexpected } => {
                append.map_or(Ok(()), |update| self.append_rule(*update))?;
                replace.map_or(Ok(()), |update| self.replace_rule(*update))?;
                unexpected.map_or(Ok(()), Err)
            }
        }
    }

    fn define_rule(&mut self, mut rule: Definition, warnings: &mut Vec<Diagnostic>) -> Decoded<()> {
        may_define(&self.rules, "rule", &rule.name, &rule.place, |rule| &rule.place)?;
        let previous = self.rules.get(rule.place.owner(), &rule.name);
        if previous.is_some_and(|previous| previous.source != rule.source) {
            return Err(other_source(&rule.place));
        }
        let source_id = self.schema.find_source(&rule.source);
        if source_id.is_none() {
            warnings.push(unknown_source(&rule, &self.schema));
        }
        for exception in &mut rule.exceptions {
            exceptions::check(exception, source_id, &self.schema)?;
        }
        let (name, place) = (rule.name.clone(), rule.place.clone());
        let rule = Rule::new(rule, source_id);
        let before = self.rules.define(&name, rule, &mut self.clock, &place);
        self.note(before.map(|rule| Replaced::new("rule", &name, &rule.place, &place)));
        Ok(())
    }

    fn enable_rule(&mut self, name: &str, enabled: bool, place: &Place) -> Decoded<()> {
        may_change(&self.rules, "rule", name, place, |rule| &rule.place)?;
        let Some(rule) = self.rules.change(name, &self.clock, place) else {
            let message = "Rule has 'enabled' key but no rule by that name already exists";
            return Err(no_such(place, message, name, &self.rules));
        };
        rule.enabled = enabled;
        Ok(())
    }

    fn append_rule(&mut self, mut update: Update) -> Decoded<()> {
        let message =
            "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists";
        let rule = self
            .rules
            .visible(update.place.owner(), &update.name)
            .ok_or_else(|| no_such(&update.place, message, &update.name, &self.rules))?;
        may_change(&self.rules, "rule", &update.name, &update.place, |rule| &rule.place)?;
        if update.is_empty() {
            let message = "Appended rule must have exceptions or condition property";
            return Err(update.place.refuse(message));
        }
        check_source(rule, &update)?;
        for exception in update.exceptions.iter_mut().flatten() {
            exceptions::check_append(exception, &rule.exceptions, rule.source_id, &self.schema)?;
        }
        self.clock.tick();
        if let Some(rule) = self.rules.change(&update.name, &self.clock, &update.place) {
            rule.append(update);
        }
        Ok(())
    }

    fn replace_rule(&mut self, mut update: Update) -> Decoded<()> {
        let message =
            "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists";
        let rule = self
            .rules
            .visible(update.place.owner(), &update.name)
            .ok_or_else(|| no_such(&update.place, message, &update.name, &self.rules))?;
        may_change(&self.rules, "rule", &update.name, &update.place, |rule| &rule.place)?;
        check_source(rule, &update)?;
        for exception in update.exceptions.iter_mut().flatten() {
            exceptions::check(exception, rule.source_id, &self.schema)?;
        }
        self.clock.tick();
        if let Some(rule) = self.rules.change(&update.name, &self.clock, &update.place) {
            rule.replace(update);
        }
        Ok(())
    }
}

impl Rule {
    fn new(rule: Definition, source_id: Option<SourceId>) -> Self {
        Self {
            name: rule.name,
            condition: Written::new(rule.condition),
            output: rule.output,
            desc: rule.desc,
            priority: rule.priority,
            source: rule.source,
            source_id,
            enabled: rule.enabled,
            tags: rule.tags,
            exceptions: rule.exceptions,
            capture: rule.capture,
            warn_evttypes: rule.warn_evttypes,
            skip_if_unknown_filter: rule.skip_if_unknown_filter,
            place: rule.place,
        }
    }

    fn append(&mut self, update: Update) {
        if let Some(condition) = update.condition {
            self.condition.append(condition);
        }
        if let Some(output) = update.output {
            join(&mut self.output.text, &output.text);
        }
        if let Some(desc) = update.desc {
            join(&mut self.desc, &desc);
        }
        self.tags.extend(update.tags.into_iter().flatten());
        for exception in update.exceptions.into_iter().flatten() {
            match self.exceptions.iter_mut().find(|e| e.name == exception.name) {
                Some(previous) => previous.values.extend(exception.values),
                None => self.exceptions.push(exception),
            }
        }
    }

    fn replace(&mut self, update: Update) {
        set(&mut self.condition, update.condition.map(Written::new));
        set(&mut self.output, update.output);
        set(&mut self.desc, update.desc);
        set(&mut self.tags, update.tags);
        set(&mut self.exceptions, update.exceptions);
        set(&mut self.priority, update.priority);
        set(&mut self.enabled, update.enabled);
        set(&mut self.warn_evttypes, update.warn_evttypes);
        set(&mut self.skip_if_unknown_filter, update.skip_if_unknown_filter);
        set(&mut self.capture.enabled, update.capture);
        set(&mut self.capture.duration, update.capture_duration);
    }
}

fn set<T>(value: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *value = new;
    }
}

fn join(text: &mut String, more: &str) {
    text.push(' ');
    text.push_str(more);
}

fn check_source(rule: &Rule, update: &Update) -> Decoded<()> {
    match &update.source {
        Some(source) if *source != rule.source => Err(other_source(&update.place)),
        _ => Ok(()),
    }
}

fn other_source(place: &Place) -> Diagnostic {
    place.refuse("Rule has been re-defined with a different source")
}

fn unknown_source(rule: &Definition, schema: &Arc<Schema>) -> Diagnostic {
    let message = format!("Unknown source {}, skipping", rule.source);
    let mut warning = rule.place.diagnostic(Code::LoadUnknownSource, message);
    let known: Vec<_> = schema.sources().iter().map(|source| source.name).collect();
    let help = suggest::did_you_mean(&rule.source, known.iter().copied());
    let space = if help.is_empty() { "" } else { " " };
    warning.help = format!("{help}{space}the sources here are {}", known.join(", "));
    warning
}
