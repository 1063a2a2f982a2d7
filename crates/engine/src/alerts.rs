//! A match becomes an alert (specification §5.2, §5.3).

use std::sync::Arc;

use saker_alert::{Alert, Priority};
use saker_events::{fields, record::Header};
use saker_rules::{
    render,
    ruleset::{ExtraField, Rule},
    schema::{FieldArg, FieldId, Quantifier, Record},
};
use serde_json::{Map, Value};

use crate::hits::Hits;

/// Writes the alerts of one source.
#[derive(Debug)]
pub(crate) struct Alerts {
    pub(crate) hits: Arc<Hits>,
    pub(crate) iso8601: bool,
}

/// A rule that an event matched.
#[derive(Debug)]
pub(crate) struct Match {
    file: Arc<str>,
    rule: String,
    time: u64,
    /// Nothing for a rule in shadow.
    pub(crate) alert: Option<Alert>,
}

impl Alerts {
    /// Counts a match and hands over what is to be told.
    pub(crate) fn send(&self, found: Match, sink: &mut dyn FnMut(Alert)) {
        self.hits.add(&found.file, &found.rule, found.time);
        found.alert.into_iter().for_each(sink);
    }

    /// What comes of a rule that an event matched.
    pub(crate) fn of(&self, rule: &Rule, record: &dyn Record, header: &Header) -> Match {
        Match {
            file: Arc::clone(&rule.info.file),
            rule: rule.info.name.clone(),
            time: header.ts,
            alert: (!rule.info.shadow).then(|| self.alert(rule, record, header)),
        }
    }

    fn alert(&self, rule: &Rule, record: &dyn Record, header: &Header) -> Alert {
        let mut message = String::new();
        rule.output.render(record, &mut message);
        Alert {
            time: header.ts,
            rule: rule.info.name.clone(),
            priority: priority(rule.info.priority),
            source: header.source.to_owned(),
            message,
            output_fields: self.output_fields(rule, record, header),
            tags: rule.info.tags.clone(),
            hostname: header.hostname.as_ref().to_owned(),
        }
    }

    /// The time that stands before the message, the output's fields, and what was added to them.
    fn output_fields(&self, rule: &Rule, record: &dyn Record, header: &Header) -> Map<String, Value> {
        let mut all = Map::new();
        let time = if self.iso8601 { "evt.time.iso8601" } else { "evt.time" };
        all.insert(time.to_owned(), header.ts.into());
        for field in rule.output.fields() {
            all.insert(field.key.clone(), json(field.id, field.arg.as_ref(), record, header));
        }
        for (key, extra) in &rule.extra_fields {
            let value = match extra {
                ExtraField::Raw(field) => json(field.id, field.arg.as_ref(), record, header),
                ExtraField::Text(template) => {
                    let mut text = String::new();
                    template.render(record, &mut text);
                    text.into()
                }
            };
            all.insert(key.clone(), value);
        }
        all
    }
}

/// A field as JSON; the readable times are nanoseconds there.
fn json(id: FieldId, arg: Option<&FieldArg>, record: &dyn Record, header: &Header) -> Value {
    let Some(row) = fields::by_id(id) else { return Value::Null };
    if row.spec.name.starts_with("evt.time") || row.spec.name.starts_with("evt.datetime") {
        return header.ts.into();
    }
    // They count from when they were read last, and the message has just read them.
    if row.spec.name.starts_with("evt.deltatime") {
        return 0.into();
    }
    let (value, endpoints) = (record.field(id, arg), row.spec.quantifier == Quantifier::Endpoints);
    let shown = value.as_ref().and_then(|value| render::shown(value, endpoints));
    shown.map_or(Value::Null, |value| render::json(value, row.spec.ty, row.spec.name))
}

fn priority(number: u8) -> Priority {
    Priority::ALL.get(usize::from(number)).copied().unwrap_or(Priority::Debug)
}
