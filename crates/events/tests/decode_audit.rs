//! Request bodies to audit events.

use std::{fs, path::Path};

use proptest::prelude::*;
use saker_events::audit::{Decoded, Json, Limits, Reason, decode, decode_from};
use serde::Deserialize;

const EVENT: &str = r#"{"kind":"EventList","items":[{"auditID":"a","stage":"ResponseComplete","user":{"groups":["g"]},"requestObject":{"spec":{"containers":[{"name":"c\u0041"}]}},"stageTimestamp":"2026-01-01T00:00:00Z"}]}"#;

#[derive(Deserialize)]
struct Case {
    name: String,
    body: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    rejected: Vec<String>,
}

fn check(case: &Case) {
    let limits = Limits { event_bytes: 200, depth: 8, items: 4, values: 40 };
    let Decoded { events, rejected, .. } = decode(case.body.as_bytes(), &limits);
    let ids: Vec<_> =
        events.iter().map(|e| e.json.get("auditID").and_then(Json::as_str).unwrap_or("?")).collect();
    assert_eq!(ids, case.events, "{}", case.name);
    let said: Vec<_> = rejected.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), case.rejected.len(), "{}: {said:?}", case.name);
    for (said, want) in said.iter().zip(&case.rejected) {
        assert!(said.starts_with(want), "{}: {said}", case.name);
    }
}

#[test]
fn bodies_are_taken_apart() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/audit/decode.yaml");
    let cases: Vec<Case> = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 15);
    cases.iter().for_each(check);
}

#[test]
fn deep_nesting_is_refused_not_overflown() {
    let limits = Limits { event_bytes: usize::MAX, ..Limits::default() };
    for open in ["[", r#"{"a":"#] {
        let deep = open.repeat(200_000);
        let event = format!(r#"{{"kind":"Event","a":{deep}"#);
        assert!(matches!(decode(event.as_bytes(), &limits).rejected[0].reason, Reason::Syntax(_)));
        assert!(decode(deep.as_bytes(), &limits).events.is_empty());
    }
    let event = format!(r#"{{"kind":"Event","a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(event.as_bytes(), &limits).rejected[0].reason, Reason::TooDeep { limit: 64 });
}

#[test]
fn reasons_have_names() {
    let reasons = [
        Reason::Empty,
        Reason::Syntax(String::new()),
        Reason::NotAnEvent,
        Reason::NoTime,
        Reason::TooLarge { bytes: 1, limit: 1 },
        Reason::TooDeep { limit: 1 },
        Reason::TooMany { limit: 1 },
        Reason::TooManyValues { limit: 1 },
    ];
    assert!(reasons.iter().enumerate().all(|(at, reason)| reason.index() == at));
    assert_eq!(reasons.len(), Reason::NAMES.len());
}

#[test]
fn events_with_many_values_come_in_parts() {
    let event = |id: &str, values: usize| {
        let list = vec!["0"; values].join(",");
        format!(r#"{{"auditID":"{id}","stageTimestamp":"2026-01-01T00:00:00Z","x":[{list}]}}"#)
    };
    let items = [event("a", 40), event("b", 40), event("huge", 97), event("c", 90), event("d", 1)].join(",");
    let body = format!(r#"{{"kind":"EventList","items":[{items}]}}"#);
    let limits = Limits { values: 100, ..Limits::default() };
    let ids = |decoded: &Decoded| -> Vec<String> {
        decoded.events.iter().map(|e| e.json.get("auditID").unwrap().as_str().unwrap().to_owned()).collect()
    };
    let mut parts = Vec::new();
    let mut next = Some(0);
    while let Some(skip) = next {
        let part = decode_from(body.as_bytes(), &limits, skip);
        assert!(part.batch);
        parts.push((ids(&part), part.rejected.len()));
        next = part.next;
    }
    let parts: Vec<_> = parts.iter().map(|(ids, rejected)| (ids.join(" "), *rejected)).collect();
    assert_eq!(parts, [("a b".to_owned(), 0), ("c d".to_owned(), 1)]);
    let all = decode(body.as_bytes(), &limits);
    assert_eq!(ids(&all), ["a", "b", "c", "d"]);
    assert_eq!(all.rejected[0].to_string(), "item 3: an event of more than 100 JSON values is not read");
    assert_eq!(all.next, None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let Decoded { events, rejected, .. } = decode(&body, &Limits::default());
        prop_assert!(events.len() + rejected.len() <= body.len() + 1);
    }

    /// One byte of a good body is changed, one is dropped, and it is cut off somewhere.
    #[test]
    fn changed_events_are_read_without_panic(at in 0..EVENT.len(), byte: u8, gone in 0..EVENT.len(), end in 0..EVENT.len()) {
        let mut body = EVENT.as_bytes().to_vec();
        body[at] = byte;
        body.remove(gone);
        let whole = decode(&body, &Limits::default());
        prop_assert!(whole.events.len() <= 1);
        body.truncate(end);
        prop_assert!(decode(&body, &Limits::default()).events.len() <= whole.events.len());
    }
}
