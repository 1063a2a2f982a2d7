//! The derived policy loses no alert: what the rules say of the events that it lets the API server write is what they
//! would say of events that tell everything.

mod support;

use proptest::{prelude::*, sample::select};
use saker_audit_setup::{AuditRule, check, derive, policy::Policy};
use saker_rules::load::{Loaded, SourceFile};
use serde_json::Value;
use support::{alerts, default_rules, event, rules, upstream_rules, written};

fn policy(loaded: &Loaded) -> Policy {
    let text = derive(&AuditRule::all(loaded)).to_string();
    Policy::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The alerts of an event as the policy lets it be written.
fn after(loaded: &Loaded, policy: &Policy, event: &Value) -> Vec<(String, String)> {
    written(policy, event).map_or_else(Vec::new, |event| alerts(loaded, &event))
}

/// Rules of a kind with many faces, so that each part of a policy has to do with some.
const KINDS: &str = include_str!("cases/rules.yaml");

fn rule_sets() -> Vec<Loaded> {
    let kinds = rules(&[SourceFile::new("kinds", KINDS)]);
    [default_rules(), kinds].into_iter().chain(upstream_rules()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_alert_is_lost(events in prop::collection::vec(event(), 48)) {
        for loaded in rule_sets() {
            let policy = policy(&loaded);
            for event in &events {
                prop_assert_eq!(after(&loaded, &policy, event), alerts(&loaded, event), "{}", event);
            }
        }
    }

    #[test]
    fn no_alert_of_any_rule_is_lost(
        conditions in prop::collection::vec(condition(), 1..4),
        events in prop::collection::vec(event(), 48),
    ) {
        let rule = |(i, condition): (usize, &String)| format!(
            "- {{rule: r{i}, desc: d, source: k8s_audit, priority: INFO, output: \"%ka.user.name\", \
             condition: '{condition}'}}\n"
        );
        let text: String = conditions.iter().enumerate().map(rule).collect();
        let loaded = rules(&[SourceFile::new("random", text)]);
        let policy = policy(&loaded);
        for event in &events {
            prop_assert_eq!(after(&loaded, &policy, event), alerts(&loaded, event), "{}", event);
        }
        let gaps = check(&policy, &AuditRule::all(&loaded));
        prop_assert!(gaps.is_empty(), "{:#?}", gaps);
    }
}

/// No policy can help a rule that no event matches.
#[test]
fn a_rule_that_never_matches_is_not_blind() {
    let text = "- {rule: r, desc: d, source: k8s_audit, priority: INFO, output: o, \
                condition: ka.stage != ResponseComplete and ka.stage = ResponseComplete}\n";
    let loaded = rules(&[SourceFile::new("never", text)]);
    assert_eq!(check(&policy(&loaded), &AuditRule::all(&loaded)), []);
}

#[test]
fn what_the_property_found_once_holds() {
    for condition in [
        // A line about a whole group would stand before those about what rules name beside it.
        "ka.verb = create and ka.target.resource = services or \
         not json.value[/objectRef/apiGroup] = rbac.authorization.k8s.io",
        // The group is not the one that stands for all others.
        "not json.value[/objectRef/apiGroup] = example.com or \
         ka.target.resource = virtualservices and not ka.target.resource exists",
    ] {
        let text = format!(
            "- {{rule: r, desc: d, source: k8s_audit, priority: INFO, output: o, condition: '{condition}'}}\n"
        );
        let loaded = rules(&[SourceFile::new("found", text)]);
        assert_eq!(check(&policy(&loaded), &AuditRule::all(&loaded)), [], "{condition}");
    }
}

/// Conditions over what a policy can look at, and over what needs each level.
fn condition() -> impl Strategy<Value = String> {
    let checks = include_str!("cases/checks.txt").lines().collect::<Vec<_>>();
    let check = select(checks).prop_map(str::to_owned);
    check.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("not ({a})")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" and "))),
            prop::collection::vec(inner, 2..4).prop_map(|all| format!("({})", all.join(" or "))),
        ]
    })
}

#[test]
fn no_alert_of_recorded_events_is_lost() {
    let (Some(fixtures), Some(upstream)) = (std::env::var_os("SAKER_FIXTURES"), upstream_rules()) else {
        return support::skip("SAKER_FIXTURES not set");
    };
    let policy = policy(&upstream);
    let dir = std::path::Path::new(&fixtures).join("corpus/events");
    let files = std::fs::read_dir(dir).expect("the corpus").map(|file| file.expect("a file").path());
    let mut fired = 0;
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "json")) {
        for event in support::events_of(&std::fs::read(&path).expect("a file")) {
            let want = alerts(&upstream, &event);
            assert_eq!(after(&upstream, &policy, &event), want, "{}: {event}", path.display());
            fired += want.len();
        }
    }
    assert!(fired > 20, "{fired} alerts");
}

#[test]
fn a_derived_policy_leaves_no_rule_blind() {
    for loaded in rule_sets() {
        let rules = AuditRule::all(&loaded);
        assert_eq!(check(&policy(&loaded), &rules), []);
    }
}
