//! Threads and descriptors of captures: `cases/threads/*.yaml` tell events and the fields that the last of them has,
//! one case for each rule of scap-format.md §6 and §7.

use std::{collections::BTreeMap, fs, net::IpAddr};

use proptest::prelude::*;
use saker_engine::thread_table::{MAX_FDS, MAX_THREADS, ThreadTable};
use saker_events::{
    Event, SYSCALL_SOURCE,
    process::{Processes, starters},
    record::{Header, SyscallRecord},
    schema,
    table::{EVENTS, code, event_flags},
    write,
};
use saker_rules::{
    schema::{FieldArg, FieldId, Record, field_flags},
    value::Value,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

const TS: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    events: Vec<Told>,
    /// Of the last event.
    fields: BTreeMap<String, Json>,
}

/// An event: who made it, what, and when, milliseconds after the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    tid: i64,
    #[serde(default)]
    ms: u64,
    evt: String,
    #[serde(default)]
    enter: bool,
    #[serde(default)]
    params: Map<String, Json>,
}

impl Told {
    fn bytes(&self) -> Vec<u8> {
        let begins = EVENTS.iter().filter(|r| r.name == self.evt && r.enter && !r.params.is_empty());
        let row = if self.enter { begins.max_by_key(|r| r.code) } else { write::row(&self.evt).ok() };
        let row = row.unwrap_or_else(|| panic!("an event {}", self.evt));
        let params = write::params(row, &self.params).expect("parameters");
        write::event(TS + self.ms * MILLISECOND, self.tid, row.code, &params)
    }
}

/// The field and argument of `name`, `name[arg]` or `name.arg`.
fn field(text: &str) -> (FieldId, Option<FieldArg>) {
    let (name, arg) = text.strip_suffix(']').and_then(|t| t.split_once('[')).unwrap_or((text, ""));
    let id = schema().find_field(SYSCALL_SOURCE, name).unwrap_or_else(|| panic!("a field {name}"));
    let arg = (!arg.is_empty()).then(|| FieldArg { text: arg.to_owned(), index: arg.parse().ok() });
    (id, arg)
}

fn json(value: Value) -> Json {
    match value {
        Value::Bool(b) => b.into(),
        Value::Int(n) => n.into(),
        Value::Uint(n) => n.into(),
        Value::Double(n) => n.into(),
        Value::Ip(ip) => ip.to_string().into(),
        Value::Net(ip, bits) => format!("{ip}/{bits}").into(),
        Value::Text(text) | Value::Bytes(text) => String::from_utf8_lossy(&text).into(),
        Value::List(items) => items.into_iter().map(json).collect(),
    }
}

fn check(case: &Case) {
    let mut table = ThreadTable::default();
    let events: Vec<_> = case.events.iter().map(Told::bytes).collect();
    for bytes in &events {
        table.event(&Event::parse(bytes).expect("an event"));
    }
    let last = Event::parse(events.last().expect("an event")).expect("an event");
    let header = Header { ts: last.ts, ..Header::default() };
    let record = SyscallRecord::new(&header, last, table.current(), &table, table.users()).expect("a row");
    for (name, wanted) in &case.fields {
        let (id, arg) = field(name);
        let value = record.field(id, arg.as_ref()).map_or(Json::Null, json);
        assert_eq!(value, *wanted, "{}: {name}", case.name);
    }
}

#[test]
fn cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/threads");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("cases") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let cases: Vec<Case> =
            serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        cases.iter().for_each(check);
        count += cases.len();
    }
    assert!(count > 30, "only {count} cases");
}

fn told(tid: i64, evt: &str, params: &Json) -> Vec<u8> {
    let params = params.as_object().cloned().unwrap_or_default();
    Told { tid, ms: 0, evt: evt.to_owned(), enter: false, params }.bytes()
}

#[test]
fn hostile_numbers_of_threads_and_descriptors_are_bounded() {
    let mut table = ThreadTable::default();
    let open = json!({"fd": 3, "dirfd": -100, "name": "/etc/passwd", "flags": 1});
    for tid in 0..=i64::try_from(MAX_THREADS).unwrap() {
        table.event(&Event::parse(&told(tid, "openat", &open)).unwrap());
    }
    assert!(table.len() <= MAX_THREADS && table.len() > MAX_THREADS / 2, "{}", table.len());
    assert_eq!(table.counters().evicted_threads, u64::try_from(MAX_THREADS / 4).unwrap());
    assert!(table.by_tid(0).is_none(), "who was quiet for longest goes");
    for fd in 0..i64::try_from(MAX_FDS).unwrap() {
        let socket = json!({"fd": fd, "domain": 2, "type": 1, "proto": 0});
        table.event(&Event::parse(&told(70_000, "socket", &socket)).unwrap());
    }
    assert!(table.counters().refused_fds > 0);
    let open = table.by_tid(70_000).and_then(|p| table.descriptors(p));
    assert!(open.unwrap() < MAX_FDS, "{open:?}");
}

#[test]
fn texts_without_end_are_bounded() {
    let mut table = ThreadTable::default();
    let env = "x".repeat(60_000);
    for tid in 0..2000 {
        let exec = json!({"res": 0, "exe": "x", "comm": "x", "pid": tid, "ptid": 0, "env": [env]});
        table.event(&Event::parse(&told(tid, "execve", &exec)).unwrap());
    }
    assert!(table.counters().evicted_threads > 0);
    assert!(table.len() < 1000, "{}", table.len());
    assert!(table.by_tid(1999).is_some(), "who was quiet for longest goes first");
}

#[test]
fn an_address_is_local_if_an_interface_has_it() {
    let table = ThreadTable::default();
    assert_eq!(table.is_local(IpAddr::from([127, 0, 0, 1])), Some(false), "no interface is known");
}

/// Events with parameters that are often wrong: bytes of any length, ids that are everybody's parent.
fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let number = (-2i64..6).prop_map(|n| n.to_le_bytes().to_vec());
    let short = (0u32..6).prop_map(|n| n.to_le_bytes().to_vec());
    let text =
        prop::sample::select(vec!["/", "..", "a/b", "", "/x/y"]).prop_map(|t| [t.as_bytes(), b"\0"].concat());
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let param = prop_oneof![number, short, text, bytes, Just(Vec::new())];
    let short_lengths = EVENTS.iter().filter(|r| !r.any(event_flags::LARGE_PAYLOAD));
    let codes = prop::sample::select(short_lengths.map(|r| r.code).collect::<Vec<_>>());
    let often = prop::sample::select(vec![
        code::SYSCALL_CLONE_20_X,
        code::SYSCALL_EXECVE_19_X,
        code::PROCEXIT_1_E,
        code::SYSCALL_DUP2_X,
        code::SOCKET_CONNECT_X,
        code::SYSCALL_OPENAT_2_X,
    ]);
    let params = prop::collection::vec(param, 0..30);
    (prop_oneof![codes, often], -1i64..6, params)
        .prop_map(|(code, tid, params)| write::event(TS, tid, code, &params))
}

/// Every field that is flagged as one of the process alone, of a thread, alone and with an argument.
fn of_process(table: &ThreadTable, tid: i64) -> BTreeMap<&'static str, [Option<Json>; 2]> {
    let bytes = write::event(TS, tid, code::SYSCALL_GETCWD_X, &[]);
    let (header, event) = (Header::default(), Event::parse(&bytes).expect("an event"));
    let record = SyscallRecord::new(&header, event, table.by_tid(tid), table, table.users()).expect("a row");
    let index = FieldArg { text: "2".to_owned(), index: Some(2) };
    let schema = schema();
    let flagged = schema.fields().iter().zip(0..).filter(|(spec, _)| spec.has(field_flags::OF_PROCESS));
    let values =
        |id| [record.field(FieldId(id), None).map(json), record.field(FieldId(id), Some(&index)).map(json)];
    flagged.map(|(spec, id)| (spec.name, values(id))).collect()
}

proptest! {
    /// What rules remember of a process is true as long as they may.
    #[test]
    fn the_same_state_has_the_same_fields(events in prop::collection::vec(any_event(), 1..120)) {
        let mut table = ThreadTable::default();
        let mut known = Vec::new();
        for bytes in &events {
            table.event(&Event::parse(bytes).expect("an event"));
            for tid in 0..6 {
                let Some(state) = table.by_tid(tid).and_then(|process| table.state(process)) else { continue };
                let fields = of_process(&table, tid);
                match known.iter().find(|(other, _)| *other == state) {
                    Some((_, before)) => prop_assert_eq!(before, &fields, "{:?}", state),
                    None => known.push((state, fields)),
                }
            }
        }
    }

    #[test]
    fn any_events_end_and_leave_a_sound_table(events in prop::collection::vec(any_event(), 1..120)) {
        let mut table = ThreadTable::default();
        let header = Header::default();
        for bytes in &events {
            let event = Event::parse(bytes).expect("an event");
            table.event(&event);
            let record = SyscallRecord::new(&header, event, table.current(), &table, table.users()).expect("a row");
            for name in ["fd.name", "proc.pname", "proc.aname[3]", "proc.sname", "evt.args", "fd.lip", "proc.nchilds"] {
                let (id, arg) = field(name);
                let _ = record.field(id, arg.as_ref());
            }
        }
        for process in (0..6).filter_map(|tid| table.by_tid(tid)) {
            prop_assert!(table.threads(process).is_some_and(|t| t.others <= t.all && t.all <= table.len()));
            prop_assert!(starters(Some(process), &table).count() <= 256);
        }
    }
}
