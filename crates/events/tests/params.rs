//! Parameters of every type as `evt.args` shows them (scap-format.md §4 and §9): `cases/params.yaml` tells their bytes.

use saker_events::{
    Event, SYSCALL_SOURCE,
    process::{Process, ProcessKey, Processes},
    record::{Header, SyscallRecord},
    schema,
    users::Users,
    write,
};
use saker_rules::{
    schema::{FieldArg, Record},
    value::Value,
};

/// An event, one of its parameters, its bytes (hexadecimal numbers or a text behind `"`), and how it is shown.
type Case = (String, String, String, String);

#[derive(Debug)]
struct One(Process);

impl Processes for One {
    fn at(&self, pid: u32, _: u64) -> Option<&Process> {
        (pid == 7).then_some(&self.0)
    }
}

fn bytes(words: &str) -> Vec<u8> {
    let word = |word: &str| match word.strip_prefix('"') {
        Some(text) => text.replace("\\0", "\0").replace('_', " ").into_bytes(),
        None => {
            vec![u8::from_str_radix(word, 16).unwrap_or_else(|e| panic!("{word}: {e}"))]
        }
    };
    words.split_whitespace().flat_map(word).collect()
}

fn shown(record: &SyscallRecord, field: &str, arg: Option<&FieldArg>) -> Option<String> {
    let id = schema().find_field(SYSCALL_SOURCE, field).expect("a field");
    match record.field(id, arg)? {
        Value::Text(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        other => panic!("no text: {other:?}"),
    }
}

fn check((event, param, words, expected): &Case) {
    let row = write::row(event).unwrap_or_else(|e| panic!("{e}"));
    let (at, _) = row.param(param).unwrap_or_else(|| panic!("{event} has no {param}"));
    let mut params = vec![Vec::new(); row.own_params()];
    params[at] = bytes(words);
    let encoded = write::event(0, 7, row.code, &params);
    let mut process = Process::unknown(ProcessKey { pid: 7, start: 0 });
    (process.comm, process.cwd) = (b"sh"[..].into(), b"/tmp/"[..].into());
    let (header, users, table) = (Header::default(), Users::default(), One(process));
    let event = Event::parse(&encoded).expect("an event");
    let record = SyscallRecord::new(&header, event, Some(&table.0), &table, &users).expect("a row");
    let all = shown(&record, "evt.args", None).expect("a text");
    let whole = format!("{param}={expected}");
    let next = row.params.get(at + 1).filter(|p| !p.extension).map(|p| format!(" {}=", p.name));
    let start = all.find(&format!("{param}=")).unwrap_or_else(|| panic!("{param} in {all}"));
    let end = next.map_or(all.len(), |next| start + all[start..].find(&next).expect("the next parameter"));
    assert_eq!(all[start..end], whole, "{} {words}", row.name);
    let arg = FieldArg { text: param.clone(), index: None };
    let one = shown(&record, "evt.arg", Some(&arg)).expect("a text");
    let meaning =
        expected.strip_suffix(')').and_then(|e| e.split_once('(')).map_or(expected.as_str(), |(_, m)| m);
    assert_eq!(one, meaning, "{}: evt.arg.{param}", row.name);
}

#[test]
fn parameters_of_every_type() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("cases/params.yaml")).expect("the cases");
    cases.iter().for_each(check);
    assert!(cases.len() > 60, "only {} cases", cases.len());
}
