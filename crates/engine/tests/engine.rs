//! Events in, alerts out.

use std::sync::Arc;

use saker_alert::{Alert, Priority};
use saker_engine::{AuditEngine, Links, Matching, Options, RulesHandle, SyscallEngine};
use saker_events::{
    Event, K8S_AUDIT_SOURCE, Origin, SYSCALL_SOURCE,
    audit::{AuditEvent, Json},
    schema, write,
};
use saker_rules::{
    compile::Condition,
    limits::MAX_DEPTH,
    parse::parse,
    ruleset::{ExtraField, RuleInfo, RuleSet, RuleSetBuilder},
    schema::SourceId,
    template::Template,
};
use serde_json::{Value, json};

const TS: u64 = 1_700_000_000_000_000_123;
const OPENS_SHADOW: &str = "evt.type in (open, openat) and fd.name = /etc/shadow";

/// Rules of the given names, conditions and outputs.
fn rules(source: SourceId, given: &[(&str, &str, &str)]) -> RuleSet {
    let schema = schema();
    let mut builder = RuleSetBuilder::new(schema.clone());
    for (name, condition, output) in given {
        let expr = parse(condition, MAX_DEPTH).expect("a condition");
        let condition = Condition::compile(&expr, &schema, source).expect("a condition");
        let output = Template::compile(output, &schema, source).expect("an output");
        let tags = vec!["files".to_owned()];
        let info = RuleInfo {
            name: (*name).to_owned(),
            desc: String::new(),
            priority: 4,
            source,
            tags,
            enabled: true,
            ..RuleInfo::default()
        };
        let extra = Template::compile("%proc.name!", &schema, source).map(ExtraField::Text);
        let extra_fields = extra.map(|e| vec![("who".to_owned(), e)]).unwrap_or_default();
        builder.add(info, &condition, output, extra_fields);
    }
    builder.build()
}

fn engine(given: &[(&str, &str, &str)], options: &Options) -> (SyscallEngine, RulesHandle) {
    let handle = RulesHandle::new(rules(SYSCALL_SOURCE, given));
    (SyscallEngine::new(&handle, options), handle)
}

fn bytes(name: &str, pid: u32, params: &Value) -> Vec<u8> {
    let row = write::row(name).expect("an event");
    let params = write::params(row, params.as_object().expect("an object")).expect("parameters");
    write::event(TS, pid.into(), row.code, &params)
}

fn event(bytes: &[u8], pid: u32) -> Event<'_> {
    let mut event = Event::parse(bytes).expect("an event");
    event.num = 1;
    event.origin = Some(Origin { tgid: pid, start: 7 });
    event
}

fn feed(engine: &mut SyscallEngine, name: &str, pid: u32, params: &Value) -> Vec<Alert> {
    let mut alerts = Vec::new();
    engine.event(&event(&bytes(name, pid, params), pid), &mut |alert| alerts.push(alert));
    alerts
}

fn open(name: &str, resolved: &str) -> Value {
    json!({"fd": 3, "dirfd": -100, "name": name, "flags": 1, "resolved": resolved})
}

#[test]
fn a_match_becomes_an_alert() {
    let (mut engine, _) = engine(
        &[("Read shadow", OPENS_SHADOW, "%proc.name by %proc.pname opened %fd.name at %evt.time.s")],
        &Options::new("node-1"),
    );
    let exec = bytes("execve", 9, &json!({"res": 0, "pid": 9, "comm": "cat", "ptid": 1}));
    engine.scan(&event(&exec, 9));
    let alerts = feed(&mut engine, "openat", 9, &open("/etc/shadow", "/etc/shadow"));
    let [alert] = alerts.as_slice() else { panic!("one alert: {alerts:?}") };
    assert_eq!((alert.rule.as_str(), alert.priority), ("Read shadow", Priority::Warning));
    assert_eq!((alert.time, alert.source.as_str(), alert.hostname.as_str()), (TS, "syscall", "node-1"));
    assert_eq!(alert.tags, ["files"]);
    assert!(alert.message.starts_with("cat by <NA> opened /etc/shadow at "), "{}", alert.message);
    let fields = json!({"evt.time": TS, "evt.time.s": TS, "proc.name": "cat", "proc.pname": null,
        "fd.name": "/etc/shadow", "who": "cat!"});
    assert_eq!(Value::Object(alert.output_fields.clone()), fields);
}

#[test]
fn a_process_that_nobody_knows_is_na() {
    let options = Options { iso8601: true, ..Options::new("n") };
    let (mut engine, _) = engine(&[("r", "evt.type=openat and proc.name != cat", "%proc.name")], &options);
    let alerts = feed(&mut engine, "openat", 9, &open("/x", "/x"));
    assert_eq!(alerts[0].message, "<NA>");
    assert_eq!(alerts[0].output_fields["evt.time.iso8601"], TS);
    assert_eq!(engine.counters().unknown, 1);
}

#[test]
fn a_link_does_not_hide_what_was_opened() {
    let (mut engine, _) = engine(&[("r", OPENS_SHADOW, "opened %fd.name")], &Options::new("n"));
    let alerts = feed(&mut engine, "openat", 9, &open("/tmp/link/../shadow", "/etc/shadow"));
    let [alert] = alerts.as_slice() else { panic!("one alert: {alerts:?}") };
    assert_eq!(alert.message, "opened /tmp/shadow evasion_resolved_path=/etc/shadow");
    assert_eq!(alert.output_fields["fd.name"], "/tmp/shadow");
    assert_eq!(alert.output_fields["evasion.resolved_path"], "/etc/shadow");
}

/// A machine on which `/tmp/etc` leads to `/etc`, as long as process 8 lives.
#[derive(Debug)]
struct TmpEtc;

impl Links for TmpEtc {
    fn follow(&self, pids: &[i64], path: &[u8], _: bool) -> Option<Vec<u8>> {
        pids.contains(&8).then(|| path.strip_prefix(b"/tmp").unwrap_or(path).to_vec())
    }
}

#[test]
fn a_link_does_not_hide_which_name_was_changed() {
    let condition = "evt.type in (unlinkat, rename, symlink, chmod) and (fs.path.name = /etc/shadow or \
                     fs.path.target = /etc/shadow or evt.arg.target = /etc/shadow)";
    let options = Options { links: Some(Arc::new(TmpEtc)), ..Options::new("n") };
    let (mut engine, _) = engine(&[("r", condition, "%evt.type")], &options);
    for (pid, parent) in [(8, 1), (9, 8)] {
        let exec = json!({"res": 0, "pid": pid, "comm": "sh", "ptid": parent, "cwd": "/tmp/etc"});
        engine.scan(&event(&bytes("execve", pid, &exec), pid));
    }
    let mut check = |pid, name: &str, params: &Value, message: Option<&str>| {
        let alerts: Vec<_> = feed(&mut engine, name, pid, params).into_iter().map(|a| a.message).collect();
        assert_eq!(alerts, message.into_iter().collect::<Vec<_>>(), "{name} {params}");
    };
    let hidden = "unlinkat evasion_resolved_path=/etc/shadow";
    let at = |res: i64, name: &str| json!({"res": res, "dirfd": -100, "name": name, "flags": 0});
    check(8, "unlinkat", &at(0, "/tmp/etc/shadow"), Some(hidden));
    check(8, "unlinkat", &at(0, "shadow"), Some(hidden));
    check(9, "unlinkat", &at(0, "shadow"), Some(hidden));
    check(7, "unlinkat", &at(0, "/tmp/etc/shadow"), None);
    check(8, "unlinkat", &at(-2, "/tmp/etc/shadow"), None);
    check(8, "unlinkat", &at(0, "/etc/shadow"), Some("unlinkat"));
    let names = json!({"res": 0, "oldpath": "/tmp/etc/passwd", "newpath": "/tmp/etc/shadow"});
    check(8, "rename", &names, Some("rename evasion_resolved_path=/etc/passwd"));
    let link = json!({"res": 0, "target": "shadow", "linkpath": "/etc/x"});
    check(8, "symlink", &link, Some("symlink evasion_resolved_path=/etc/shadow"));
    check(
        8,
        "chmod",
        &json!({"res": 0, "filename": "shadow"}),
        Some("chmod evasion_resolved_path=/etc/shadow"),
    );
}

#[test]
fn paths_are_followed_as_long_as_a_rule_asks_for_them() {
    let options = Options { links: Some(Arc::new(TmpEtc)), ..Options::new("n") };
    let (mut engine, handle) = engine(&[], &options);
    let exec = json!({"res": 0, "pid": 8, "comm": "sh", "ptid": 1, "cwd": "/"});
    engine.scan(&event(&bytes("execve", 8, &exec), 8));
    let unlink = json!({"res": 0, "dirfd": -100, "name": "/tmp/x", "flags": 0});
    for (condition, output, followed) in [
        ("evt.type = unlinkat and proc.name = sh", "%proc.name", false),
        ("evt.type = unlinkat and evt.res = SUCCESS", "%fs.path.name", true),
        ("evt.type in (unlinkat, mkdir) and fs.path.name contains x", "%evt.type", true),
        ("(evt.type = mkdir and fs.path.name contains x)", "%evt.type", false),
        ("evt.type = unlinkat and evt.args contains x", "%evt.type", true),
    ] {
        let set = [("all", "evt.type = unlinkat", "%evt.type"), ("r", condition, output)];
        handle.swap(rules(SYSCALL_SOURCE, &set));
        let alerts = feed(&mut engine, "unlinkat", 8, &unlink);
        let told = alerts.iter().any(|alert| alert.output_fields.contains_key("evasion.resolved_path"));
        assert_eq!(told, followed, "{condition}: {alerts:?}");
    }
}

#[test]
fn a_relative_path_tells_where_the_process_is() {
    let (mut engine, _) = engine(&[("r", OPENS_SHADOW, "%proc.cwd %fd.name")], &Options::new("n"));
    let exec = bytes("execve", 9, &json!({"res": 0, "pid": 9, "comm": "cat", "ptid": 1, "cwd": "/root"}));
    engine.scan(&event(&exec, 9));
    let here = json!({"fd": 3, "dirfd": -100, "name": "shadow", "flags": 1, "dirpath": "/etc"});
    assert_eq!(feed(&mut engine, "openat", 9, &here)[0].message, "/etc/ /etc/shadow");
}

#[test]
fn a_rule_that_holds_on_both_paths_alerts_once() {
    let (mut engine, _) = engine(&[("r", "evt.type=openat", "opened %fd.name")], &Options::new("n"));
    let alerts = feed(&mut engine, "openat", 9, &open("/lib/x", "/usr/lib/x"));
    let [alert] = alerts.as_slice() else { panic!("one alert: {alerts:?}") };
    assert_eq!(alert.message, "opened /lib/x");
    assert_eq!(alert.output_fields["evasion.resolved_path"], "/usr/lib/x");
}

/// Falco shows the same words for all paths of 1024 bytes and more.
#[test]
fn a_missing_file_is_seen_whatever_the_length_of_its_path() {
    let (mut engine, _) = engine(&[("r", OPENS_SHADOW, "opened %fd.name")], &Options::new("n"));
    let long = format!("/etc/{}shadow", "./".repeat(1000));
    let alerts = feed(&mut engine, "openat", 9, &json!({"fd": -2, "dirfd": -100, "name": long, "flags": 1}));
    let [alert] = alerts.as_slice() else { panic!("one alert: {alerts:?}") };
    assert_eq!(alert.message, "opened /DIR_TOO_LONG/FILENAME_TOO_LONG evasion_resolved_path=/etc/shadow");
    assert_eq!(alert.output_fields["evasion.resolved_path"], "/etc/shadow");
}

#[test]
fn a_relative_path_that_is_too_long_is_seen_whole() {
    let condition = "evt.type=link and evt.arg.oldpath=/etc/shadow";
    let (mut engine, _) = engine(&[("r", condition, "linked %evt.arg.oldpath")], &Options::new("n"));
    let exec = bytes("execve", 9, &json!({"res": 0, "pid": 9, "comm": "ln", "ptid": 1, "cwd": "/etc"}));
    engine.scan(&event(&exec, 9));
    let link = |path: &str| json!({"res": 0, "oldpath": path, "newpath": "/tmp/x"});
    let alerts = feed(&mut engine, "link", 9, &link(&format!("{}shadow", "./".repeat(1000))));
    assert_eq!(alerts[0].message, "linked /DIR_TOO_LONG/FILENAME_TOO_LONG evasion_resolved_path=/etc/shadow");
    assert_eq!(feed(&mut engine, "link", 9, &link("./shadow"))[0].message, "linked /etc/shadow");
}

/// Today's kernels end at 2^22; the events have room for more.
#[test]
fn process_ids_may_be_as_large_as_their_numbers() {
    let (mut engine, _) =
        engine(&[("r", "evt.type=openat", "%proc.pid %proc.ppid %proc.name")], &Options::new("n"));
    for (pid, parent) in [(1 << 22, 1), ((1 << 22) + 1, 1 << 22), (i32::MAX.cast_unsigned(), (1 << 22) + 1)] {
        let exec =
            bytes("execve", pid, &json!({"res": 0, "pid": pid, "comm": format!("c{pid}"), "ptid": parent}));
        engine.scan(&event(&exec, pid));
        let alerts = feed(&mut engine, "openat", pid, &open("/x", "/x"));
        assert_eq!(alerts[0].message, format!("{pid} {parent} c{pid}"));
    }
}

#[test]
fn the_first_rule_or_all_of_them() {
    let two = [("a", "evt.type=openat", "a"), ("b", "evt.type=openat", "b")];
    let (mut first, _) = engine(&two, &Options::new("n"));
    assert_eq!(feed(&mut first, "openat", 9, &open("/x", "")).len(), 1);
    let (mut all, _) = engine(&two, &Options { matching: Matching::All, ..Options::new("n") });
    assert_eq!(feed(&mut all, "openat", 9, &open("/x", "")).len(), 2);
}

#[test]
fn hits_start_at_zero_and_outlive_a_swap() {
    let options = Options::new("n");
    let (mut engine, handle) = engine(&[("a", OPENS_SHADOW, "a"), ("b", "evt.type=creat", "b")], &options);
    feed(&mut engine, "openat", 9, &open("/etc/shadow", ""));
    let hits = |names: &[(&str, u64)]| names.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect::<Vec<_>>();
    assert_eq!(options.hits.of(&handle.load()), hits(&[("a", 1), ("b", 0)]));
    handle.swap(rules(SYSCALL_SOURCE, &[("c", OPENS_SHADOW, "c"), ("a", "evt.type=creat", "a")]));
    let alerts = feed(&mut engine, "openat", 9, &open("/etc/shadow", ""));
    assert_eq!(alerts[0].rule, "c");
    assert_eq!(options.hits.of(&handle.load()), hits(&[("c", 1), ("a", 1)]));
}

#[test]
fn a_process_that_ends_is_still_there_for_its_last_event() {
    let (mut engine, _) = engine(&[("r", "evt.type=procexit", "%proc.name ended")], &Options::new("n"));
    let exec = bytes("execve", 9, &json!({"res": 0, "pid": 9, "comm": "cat", "ptid": 1}));
    engine.scan(&event(&exec, 9));
    let alerts = feed(&mut engine, "procexit", 9, &json!({"status": 0}));
    assert_eq!(alerts[0].message, "cat ended");
}

#[test]
fn audit_events_have_rules_of_their_own() {
    let given = [("r", "ka.verb=create", "%ka.user.name at %evt.num")];
    let handle = RulesHandle::new(rules(K8S_AUDIT_SOURCE, &given));
    let mut engine = AuditEngine::new(handle, &Options::new("n"));
    let json: Json =
        serde_json::from_value(json!({"auditID": "1", "verb": "create", "user": {"username": "alice"}}))
            .expect("an event");
    let mut alerts = Vec::new();
    engine.event(AuditEvent { time: TS, json }, &mut |alert| alerts.push(alert));
    assert_eq!(alerts[0].message, "alice at 1");
    assert_eq!((alerts[0].time, alerts[0].source.as_str()), (TS, "k8s_audit"));
}
