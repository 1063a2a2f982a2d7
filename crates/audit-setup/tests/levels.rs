//! `level_of`: at its level a field has the value that it has in an event that tells everything.

mod support;

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use saker_audit_setup::{level_of, policy::Level};
use saker_events::{
    K8S_AUDIT_SOURCE,
    audit::{Limits, decode},
    record::{AuditRecord, Header},
    schema,
};
use saker_rules::{
    schema::{ArgKind, ArgRule, FieldSpec},
    template::Template,
};
use serde_json::Value;
use support::{at_level, event};

/// As rules write the field: with an argument where there must be one.
fn written(field: &FieldSpec) -> Vec<String> {
    match field.arg {
        _ if ["json.value", "jevt.value"].contains(&field.name) => {
            ["/verb", "/requestObject/metadata/name", "/responseObject"]
                .map(|p| format!("{}[{p}]", field.name))
                .into()
        }
        ArgRule::Required(ArgKind::Index) => vec![format!("{}[0]", field.name)],
        ArgRule::Required(_) => vec![format!("{}[/etc]", field.name)],
        ArgRule::None | ArgRule::Optional(_) => vec![field.name.to_owned()],
    }
}

fn value(field: &str, event: &Value) -> String {
    let event = decode(event.to_string().as_bytes(), &Limits::default()).events.remove(0);
    let record = AuditRecord { header: Header { ts: event.time, ..Header::default() }, json: event.json };
    let mut out = String::new();
    let template = Template::compile(&format!("%{field}"), &schema(), K8S_AUDIT_SOURCE);
    template.unwrap_or_else(|e| panic!("{field}: {e}")).render(&record, &mut out);
    out
}

#[test]
fn no_field_needs_more_than_its_level() {
    let schema = schema();
    let of_audit = |field: &&FieldSpec| field.sources & (1 << K8S_AUDIT_SOURCE.0) != 0;
    let fields: Vec<String> = schema.fields().iter().filter(of_audit).flat_map(written).collect();
    let mut runner = TestRunner::deterministic();
    // Whether a lower level would have been too low for some event.
    let mut lowest: BTreeMap<&str, bool> = BTreeMap::new();
    for _ in 0..200 {
        let mut event = event().new_tree(&mut runner).expect("an event").current();
        event["level"] = Value::Null;
        let at = |level| {
            let mut event = at_level(&event, level, false);
            event["level"] = Value::Null;
            event
        };
        for field in &fields {
            let (level, want) = (level_of(field), value(field, &event));
            assert_eq!(value(field, &at(level)), want, "{field} at {level}: {event}");
            let below = if level == Level::RequestResponse { Level::Request } else { Level::Metadata };
            *lowest.entry(field).or_default() |= level == Level::Metadata || value(field, &at(below)) != want;
        }
    }
    let unproved: Vec<_> = lowest.iter().filter(|(_, proved)| !**proved).map(|(field, _)| *field).collect();
    assert!(unproved.len() < 60, "{} of {}: {unproved:?}", unproved.len(), lowest.len());
}
