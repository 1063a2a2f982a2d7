//! A FalcoRule's scope, selector and mode, and the binding they become.

use saker_crds::FalcoRuleSpec;
use saker_rules::binding::Binding;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    spec: FalcoRuleSpec,
    binding: Option<Binding>,
    error: Option<String>,
}

#[test]
fn specs_become_bindings() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("cases/bind.yaml")).expect("cases that parse");
    assert!(!cases.is_empty());
    for Case { name, spec, binding, error } in cases {
        match (spec.binding("team", spec.scope), error) {
            (Ok(found), None) => assert_eq!(found, binding, "{name}"),
            (Err(reason), Some(part)) => assert!(reason.contains(&part), "{name}: {reason}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}
