//! Rule sets: which rules match, in which order, and how often a field is read.

#[path = "support/small.rs"]
mod small;

use std::{cell::Cell, sync::Arc};

use saker_rules::{
    compile::Condition,
    limits::MAX_DEPTH,
    parse::parse,
    ruleset::{Matching, RuleInfo, RuleSet, RuleSetBuilder, Scratch},
    schema::{EventTypeId, FieldArg, FieldId, Record, SourceId},
    template::Template,
    value::Value,
};

const SYSCALL: SourceId = SourceId(0);
const K8S_AUDIT: SourceId = SourceId(1);
const OPEN: EventTypeId = EventTypeId(0);
const CLOSE: EventTypeId = EventTypeId(2);

/// Every field is the text `a`; counts how often one is read.
struct Counting {
    event_type: EventTypeId,
    reads: Cell<usize>,
}

impl Record for Counting {
    fn event_type(&self) -> EventTypeId {
        self.event_type
    }

    fn field<'a>(&'a self, _: FieldId, _: Option<&FieldArg>) -> Option<Value<'a>> {
        self.reads.set(self.reads.get() + 1);
        Some(Value::text("a"))
    }
}

fn info(name: &str, source: SourceId) -> RuleInfo {
    RuleInfo {
        name: name.to_owned(),
        desc: String::new(),
        priority: 4,
        source,
        tags: Vec::new(),
        enabled: !name.starts_with("disabled"),
        shadow: name.starts_with("shadow"),
        ..RuleInfo::default()
    }
}

fn build(rules: &[(&str, SourceId, &str)]) -> RuleSet {
    let schema = Arc::new(small::schema());
    let mut builder = RuleSetBuilder::new(Arc::clone(&schema));
    for (name, source, condition) in rules {
        let parsed = parse(condition, MAX_DEPTH).unwrap();
        let compiled = Condition::compile(&parsed, &schema, *source).unwrap();
        let output = Template::compile("", &schema, *source).unwrap();
        builder.add(info(name, *source), &compiled, output, Vec::new());
    }
    builder.build()
}

fn check(
    rules: &RuleSet,
    source: SourceId,
    event_type: EventTypeId,
    matching: Matching,
    wanted: &[&str],
    reads: usize,
) {
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        let record = Counting { event_type, reads: Cell::new(0) };
        let mut names = Vec::new();
        rules.evaluate(source, &record, matching, &mut scratch, |rule| names.push(rule.info.name.clone()));
        assert_eq!(names, wanted);
        assert_eq!(record.reads.get(), reads);
    }
}

#[test]
fn rules_match_in_order() {
    let rules = build(&[
        ("never", SYSCALL, "proc.name = b"),
        ("disabled", SYSCALL, "proc.name = a"),
        ("open", SYSCALL, "evt.type in (open, openat) and not proc.name = b or evt.type = open"),
        ("any", SYSCALL, "proc.name = a or proc.pname = a"),
        ("audit", K8S_AUDIT, "ka.verb = a"),
    ]);
    // The type of the event decides about `open`; nothing is read for it.
    check(&rules, SYSCALL, OPEN, Matching::All, &["open", "any"], 1);
    check(&rules, SYSCALL, CLOSE, Matching::All, &["any"], 1);
    check(&rules, SYSCALL, CLOSE, Matching::First, &["any"], 1);
    check(&rules, K8S_AUDIT, OPEN, Matching::First, &["audit"], 1);
    let needed: Vec<_> = rules.needed_event_types(K8S_AUDIT).iter().collect();
    assert_eq!(needed.len(), rules.schema().event_types().len());
}

#[test]
fn the_first_match_ends_the_event() {
    let rules = build(&[("one", SYSCALL, "proc.name = a"), ("two", SYSCALL, "proc.pname = a")]);
    check(&rules, SYSCALL, OPEN, Matching::First, &["one"], 1);
    check(&rules, SYSCALL, OPEN, Matching::All, &["one", "two"], 2);
}

#[test]
fn a_rule_in_shadow_is_found_behind_any_and_hides_none() {
    let rules = build(&[
        ("one", SYSCALL, "proc.name = a"),
        ("two", SYSCALL, "proc.pname = a"),
        ("shadow never", SYSCALL, "proc.name = b"),
        ("shadow", SYSCALL, "proc.name = a and proc.pname = a"),
    ]);
    check(&rules, SYSCALL, OPEN, Matching::First, &["one", "shadow"], 2);
    check(&rules, SYSCALL, OPEN, Matching::All, &["one", "two", "shadow"], 2);
    let alone = build(&[("shadow", SYSCALL, "proc.name = a"), ("shadow too", SYSCALL, "proc.name = a")]);
    check(&alone, SYSCALL, OPEN, Matching::First, &["shadow", "shadow too"], 1);
}

#[test]
fn only_needed_event_types_are_asked_for() {
    let rules = build(&[
        ("open", SYSCALL, "evt.type = open and proc.name = a"),
        ("disabled", SYSCALL, "evt.type = close and proc.name = a"),
    ]);
    let needed: Vec<_> = rules.needed_event_types(SYSCALL).iter().collect();
    assert_eq!(needed, [OPEN]);
    check(&rules, SYSCALL, CLOSE, Matching::All, &[], 0);
}

#[test]
fn equal_parts_are_shared() {
    let one = build(&[("one", SYSCALL, "proc.name = a and not proc.pname = b")]);
    let many = build(&[
        ("one", SYSCALL, "proc.name = a and not proc.pname = b"),
        ("two", SYSCALL, "(proc.name = a) and not proc.pname = b"),
        ("three", SYSCALL, "not proc.pname = b"),
    ]);
    assert_eq!(one.nodes(), many.nodes());
}

#[test]
fn one_scratch_serves_every_source() {
    let rules = build(&[("s", SYSCALL, "proc.name = a and proc.pname = a"), ("k", K8S_AUDIT, "ka.verb = a")]);
    let mut scratch = Scratch::default();
    let mut count = 0;
    for source in [SYSCALL, K8S_AUDIT, SYSCALL, K8S_AUDIT] {
        let record = Counting { event_type: OPEN, reads: Cell::new(0) };
        rules.evaluate(source, &record, Matching::All, &mut scratch, |_| count += 1);
    }
    assert_eq!(count, 4);
}

#[test]
fn parameters_that_events_of_a_type_lack_are_not_read() {
    let rules = build(&[("flags", SYSCALL, "evt.type in (open, close) and evt.arg[flags] = a")]);
    check(&rules, SYSCALL, OPEN, Matching::All, &["flags"], 1);
    check(&rules, SYSCALL, CLOSE, Matching::All, &[], 0);
}
