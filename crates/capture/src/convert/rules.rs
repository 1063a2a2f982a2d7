//! Which conversion an event needs, from `tables/conversions.tsv`.

use std::sync::LazyLock;

use saker_events::table::{EVENTS, EventRow, code, event_flags};

/// How events of one code with a certain number of parameters are brought forward.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) params: usize,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// It is as it should be.
    Pass,
    /// It waits for the exit event of its thread.
    Keep,
    /// Both.
    KeepAndPass,
    /// Parameters are appended.
    Add(&'static [Value]),
    /// Another event with these parameters.
    Become(u16, &'static [Value]),
}

/// Where a parameter comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Empty,
    /// Zeroes of the type's size.
    Default,
    /// A parameter of the event itself.
    Own(u8),
    /// A parameter of the kept enter event.
    EnterOrDefault(u8),
    EnterOrEmpty(u8),
    /// The event's own parameters as the JSON text that newer versions write.
    ContainerJson,
}

include!(concat!(env!("OUT_DIR"), "/conversions.rs"));

/// What a code asks of its events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) class: Class,
    /// Parameters in the table of today.
    pub(super) params: usize,
    pub(super) rules: &'static [Rule],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Never shown.
    Drop,
    /// Shown as it is, without surplus parameters.
    Pass,
    /// Shown as it is if its parameters are as many as the table's, else converted.
    ByCount,
    /// Converted by its rule.
    Convert,
}

impl Row {
    /// The row of a code; `None` for codes newer than the table.
    pub(super) fn of(code: u16) -> Option<&'static Self> {
        static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| EVENTS.iter().map(Row::new).collect());
        ROWS.get(usize::from(code))
    }

    fn new(event: &EventRow) -> Self {
        let old = event.any(event_flags::OLD_VERSION);
        let class = match event {
            _ if event.any(event_flags::UNUSED) => Class::Drop,
            _ if !event.any(event_flags::CONVERTER) && event.enter && old => Class::Drop,
            _ if !event.any(event_flags::CONVERTER) => Class::Pass,
            _ if event.enter || old => Class::Convert,
            _ => Class::ByCount,
        };
        let rules = RULES.iter().find(|(code, _)| *code == event.code).map_or(&[][..], |(_, rules)| rules);
        Self { class, params: event.own_params(), rules }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters that a rule leaves its event with.
    fn result(event: &EventRow, rule: &Rule) -> (u16, usize) {
        match rule.action {
            Action::Pass | Action::Keep | Action::KeepAndPass => (event.code, rule.params),
            Action::Add(values) => (event.code, rule.params + values.len()),
            Action::Become(code, values) => (code, values.len()),
        }
    }

    #[test]
    fn every_rule_ends_in_a_row_that_takes_its_event() {
        for event in &EVENTS {
            for rule in Row::of(event.code).unwrap().rules {
                let (code, params) = result(event, rule);
                let target = Row::of(code).unwrap();
                let known = target.rules.iter().any(|r| r.params == params);
                let whole = target.class == Class::ByCount && target.params == params;
                let plain = matches!(target.class, Class::Pass | Class::Drop);
                assert!(known || whole || plain, "{} with {} parameters", event.name, rule.params);
            }
        }
    }

    #[test]
    fn rules_refer_to_parameters_that_are_there() {
        for event in &EVENTS {
            let enter = event.code.checked_sub(1).and_then(EventRow::of).map_or(0, |e| e.params.len());
            for rule in Row::of(event.code).unwrap().rules {
                let (Action::Add(values) | Action::Become(_, values)) = rule.action else { continue };
                for value in values {
                    match *value {
                        Value::Own(at) => assert!(usize::from(at) < rule.params, "{}", event.name),
                        Value::EnterOrDefault(at) | Value::EnterOrEmpty(at) => {
                            assert!(usize::from(at) < enter, "{}", event.name);
                        }
                        Value::Empty | Value::Default | Value::ContainerJson => {}
                    }
                }
            }
        }
    }
}
