//! What `explain` calls certain is certain, and the condition that it prints means the same.

#[path = "support/record.rs"]
mod record;
#[path = "support/small.rs"]
mod small;

use std::sync::Arc;

use proptest::prelude::*;
use record::MapRecord;
use saker_rules::{
    compile::Condition,
    explain::{Explanation, Relation, explain},
    limits::MAX_DEPTH,
    load::{LoadOptions, SourceFile, load},
    parse::parse,
    schema::{Schema, SourceId},
};
use serde_json::json;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn atom() -> impl Strategy<Value = String> {
    let field = || prop::sample::select(&["proc.name", "proc.pname"][..]);
    let name = || prop::sample::select(&NAMES[..]);
    prop_oneof![
        (field(), name()).prop_map(|(field, name)| format!("{field} = {name}")),
        (field(), name(), name()).prop_map(|(field, one, two)| format!("{field} in ({one}, {two})")),
        field().prop_map(|field| format!("{field} exists")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let tree = atom().prop_recursive(3, 12, 3, |inner| {
        let members = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            members.clone().prop_map(|m| format!("({})", m.join(" and "))),
            members.prop_map(|m| format!("({})", m.join(" or "))),
            inner.prop_map(|i| format!("not ({i})")),
        ]
    });
    prop::collection::vec(tree, 1..4).prop_map(|members| members.join(" and "))
}

fn explained(schema: &Arc<Schema>, conditions: &[String; 2]) -> Vec<Explanation> {
    let rule = |(name, condition): (&str, &String)| {
        format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
    };
    let text: String = ["first", "second"].into_iter().zip(conditions).map(rule).collect();
    let loaded = load(&[SourceFile::new("f", text)], &LoadOptions::new(Arc::clone(schema)));
    assert!(loaded.successful(), "{:?}", loaded.files);
    explain(&loaded, None)
}

/// On which of all events with these names the condition holds.
fn holds(schema: &Schema, condition: &str) -> Vec<bool> {
    let tree = parse(condition, MAX_DEPTH).unwrap();
    let compiled = Condition::compile(&tree, schema, SourceId(0)).unwrap();
    let names = || NAMES.iter().map(|name| json!(name)).chain([json!(null)]);
    let events = names().flat_map(|name| names().map(move |parent| (name.clone(), parent)));
    let matches = |(name, parent)| {
        let values = json!({ "proc.name": name, "proc.pname": parent });
        compiled.matches(&MapRecord { schema, values: &values })
    };
    events.map(matches).collect()
}

proptest! {
    #[test]
    fn certain_is_certain(one in condition(), two in condition(), more in condition(), extend in any::<bool>()) {
        let schema = Arc::new(small::schema());
        let second = if extend { format!("{more} and {one}") } else { two };
        let rules = explained(&schema, &[one.clone(), second.clone()]);
        let (first, later) = (holds(&schema, &one), holds(&schema, &second));
        prop_assert_eq!(&holds(&schema, &rules[0].condition), &first);
        prop_assert_eq!(&holds(&schema, &rules[1].condition), &later);
        match rules[1].overlaps.first().map(|overlap| overlap.relation) {
            None => prop_assert!(!first.iter().zip(&later).any(|(a, b)| *a && *b), "{one} | {second}"),
            Some(Relation::AlwaysShadowedBy) => prop_assert!(first.iter().zip(&later).all(|(a, b)| *a || !*b)),
            Some(relation) => prop_assert!(!extend && relation == Relation::MayBeShadowedBy, "{relation:?}"),
        }
    }
}
