//! Test cases for rules: events in a compact form, and the alerts they must make.
//!
//! ```yaml
//! - rules_files: [../my_rules.yaml]
//! - rule: Password file read
//!   name: cat shows the hashes
//!   events:
//!     - {evt: openat, proc: {name: cat, parents: [{name: sh}]}, params: {name: /etc/shadow, flags: O_RDONLY}}
//!   expect: [{rule: Password file read, output_fields: {fd.name: /etc/shadow}}]
//! ```
//!
//! A compact event becomes the very bytes that the probe or a capture file would hold (scap-format.md §3), and the live
//! engine decodes them; nothing is evaluated in another way than on a node.

mod expect;
mod record;
mod run;
mod syscall;

pub use expect::{ExpectedAlert, Mismatch};
pub use run::run;

use saker_events::audit::{self, AuditEvent, Decoded, Limits};
use saker_rules::suggest;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use syscall::SyscallCase;

/// Bytes of one file of cases at most.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// A file of cases.
#[derive(Debug)]
pub struct Suite {
    /// The rules that are tested: paths relative to the file of cases.
    pub rules_files: Vec<String>,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Debug)]
pub struct Case {
    /// The rule it is about.
    pub rule: String,
    /// What it shows, unique for the rule.
    pub name: String,
    events: Vec<CaseEvent>,
    /// The alerts that must come, in this order, and no others.
    pub expect: Vec<ExpectedAlert>,
}

#[derive(Debug)]
enum CaseEvent {
    Syscall(Box<SyscallCase>),
    Audit(AuditEvent),
}

/// Why a file of cases cannot be used, or a case not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// More than [`MAX_FILE_BYTES`].
    #[error("{0} bytes of test cases are more than the {MAX_FILE_BYTES} that are read; split the file")]
    TooLarge(usize),
    /// No YAML, or not of this form.
    #[error("{0}")]
    Yaml(String),
    /// No case can be run without rules.
    #[error("no `rules_files`: name the rules that are tested in an item `- rules_files: [FILE, …]`")]
    NoRules,
    /// An item of the list that is wrong.
    #[error("item {item} ({name}): {reason}")]
    Item {
        /// Its place in the list, from 1.
        item: usize,
        /// The case's name as far as it is known.
        name: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
}

/// One item of the list: either the rules or a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    rules_files: Option<Vec<String>>,
    rule: Option<String>,
    name: Option<String>,
    #[serde(default)]
    events: Vec<Value>,
    expect: Option<Value>,
}

impl Suite {
    /// Reads a file of cases.
    pub fn parse(text: &str) -> Result<Self, CaseError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(CaseError::TooLarge(text.len()));
        }
        // `no` and `off` are words here, not booleans.
        let options = serde_saphyr::options! { strict_booleans: true };
        let items: Vec<Item> =
            serde_saphyr::from_str_with_options(text, options).map_err(|e| CaseError::Yaml(e.to_string()))?;
        let mut suite = Self { rules_files: Vec::new(), cases: Vec::new() };
        for (index, item) in items.into_iter().enumerate() {
            let name = item.name.clone().or_else(|| item.rule.clone()).unwrap_or_default();
            let wrong = |reason| CaseError::Item { item: index.saturating_add(1), name, reason };
            suite.add(item).map_err(wrong)?;
        }
        if suite.rules_files.is_empty() { Err(CaseError::NoRules) } else { Ok(suite) }
    }

    fn add(&mut self, item: Item) -> Result<(), String> {
        let Item { rules_files, rule, name, events, expect } = item;
        if let Some(files) = rules_files {
            let alone = rule.is_none() && name.is_none() && events.is_empty() && expect.is_none();
            self.rules_files.extend(files);
            return if alone { Ok(()) } else { Err("`rules_files` stands in an item of its own".to_owned()) };
        }
        let lacks = |key| format!("a case needs the key `{key}`");
        self.cases.push(Case {
            rule: rule.ok_or_else(|| lacks("rule"))?,
            name: name.ok_or_else(|| lacks("name"))?,
            events: events.into_iter().map(event).collect::<Result<_, _>>()?,
            expect: expect::parse(expect.ok_or_else(|| lacks("expect"))?)?,
        });
        Ok(())
    }
}

/// A system call has the key `evt`; everything else is an audit event as the API server sends it.
fn event(value: Value) -> Result<CaseEvent, String> {
    if value.get("evt").is_some() {
        return Ok(CaseEvent::Syscall(Box::new(from_value(value)?)));
    }
    let Decoded { mut events, rejected, .. } =
        audit::decode(value.to_string().as_bytes(), &Limits::default());
    match (events.pop(), rejected.first()) {
        (Some(event), None) if events.is_empty() => Ok(CaseEvent::Audit(event)),
        (_, Some(rejection)) => {
            Err(format!("no system call (there is no `evt`), no audit event: {}", rejection.reason))
        }
        _ => Err("write each audit event as an event of its own".to_owned()),
    }
}

/// What a case names and nobody knows; perhaps something of nearly the same name is known.
fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match suggest::nearest(name, known) {
        Some(near) => format!("unknown {kind} `{name}`: did you mean '{near}'?"),
        None => format!("unknown {kind} `{name}`"),
    }
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saker_events::Event;

    use super::*;

    fn suite(event: &str) -> Result<Suite, CaseError> {
        Suite::parse(&format!(
            "[{{rules_files: [a.yaml]}}, {{rule: r, name: n, events: [{event}], expect: none}}]"
        ))
    }

    /// The parameters of a compact event's record, by position.
    fn params(event: &str) -> Vec<Vec<u8>> {
        let suite = suite(event).unwrap();
        let [CaseEvent::Syscall(event)] = &suite.cases[0].events[..] else { panic!("no system call") };
        let record = event.records(0).unwrap().event;
        let event = Event::parse(&record).unwrap();
        (0..event.param_count()).map(|i| event.param(i).unwrap_or_default().to_vec()).collect()
    }

    #[test]
    fn a_compact_event_becomes_a_scap_record() {
        let open = params("{evt: openat, proc: {name: cat}, params: {name: /a, flags: O_WRONLY|O_CREAT}}");
        assert_eq!(open[0], 3_i64.to_le_bytes());
        assert_eq!(open[1], (-100_i64).to_le_bytes());
        assert_eq!(open[2], b"/a\0");
        assert_eq!(open[3], 6_u32.to_le_bytes());
        let exec = params("{evt: execve, proc: {name: a-name-of-many-letters, args: [a, 'b c'], tty: 7}}");
        assert_eq!(exec[1], b"a-name-of-many-letters\0");
        assert_eq!(exec[2], b"a\0b c\0");
        assert_eq!(exec[13], b"a-name-of-many-\0");
    }

    #[test]
    fn addresses_become_tuples() {
        let tuple = |text: &str| {
            params(&format!("{{evt: connect, proc: {{name: nc}}, params: {{tuple: '{text}'}}}}"))[1].clone()
        };
        assert_eq!(tuple("10.0.0.1:256->10.0.0.2:1"), [2, 10, 0, 0, 1, 0, 1, 10, 0, 0, 2, 1, 0]);
        assert_eq!(tuple("[::1]:1->[::2]:2").len(), 37);
        assert_eq!(tuple("->/run/a.sock").len(), 1 + 16 + "/run/a.sock\0".len());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Suite::parse(&text);
        }

        #[test]
        fn any_name_and_parameter_is_run_or_refused(name in "[a-z]{1,9}", param in "[a-z]{1,9}", value in any::<i64>()) {
            let parsed = suite(&format!("{{evt: {name}, proc: {{name: x}}, params: {{{param}: {value}}}}}"));
            if let [CaseEvent::Syscall(event)] = &parsed.unwrap().cases[0].events[..] {
                prop_assert!(event.records(0).is_err() || saker_events::table::EVENTS.iter().any(|e| e.name == name));
            }
        }
    }
}
