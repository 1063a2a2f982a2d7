//! What is asked of a process is asked once for each event, however many fields show it.

use std::cell::RefCell;

use saker_events::{
    Event, SYSCALL_SOURCE,
    descriptor::FdType,
    process::{Process, ProcessKey, Processes, Standard, Threads},
    record::{Header, SyscallRecord},
    schema,
    users::Users,
    write,
};
use saker_rules::schema::Record as _;

/// Keeps what it was asked.
#[derive(Debug, Default)]
struct Asked(RefCell<Vec<String>>);

impl Asked {
    fn note(&self, question: impl Into<String>) {
        self.0.borrow_mut().push(question.into());
    }
}

impl Processes for Asked {
    fn at(&self, _: u32, _: u64) -> Option<&Process> {
        None
    }

    fn threads(&self, _: &Process) -> Option<Threads> {
        self.note("threads");
        Some(Threads { all: 2, others: 1 })
    }

    fn descriptors(&self, _: &Process) -> Option<usize> {
        self.note("descriptors");
        None
    }

    fn descriptor_types(&self, _: &Process) -> Option<Vec<FdType>> {
        self.note("types");
        Some(vec![FdType::File])
    }

    fn standard(&self, _: &Process, number: i64) -> Option<Standard<'_>> {
        self.note(number.to_string());
        (number != 2).then(|| Standard { kind: FdType::File, name: b"/dev/null"[..].into() })
    }
}

/// What is asked of a process when these fields are read of one event, and how many of them have a value.
#[track_caller]
fn check(fields: &[&str], asked: &[&str], values: usize) {
    let row = write::row("close").unwrap();
    let bytes = write::event(0, 7, row.code, &[Vec::new(), 3_i64.to_le_bytes().to_vec()]);
    let event = Event::parse(&bytes).unwrap();
    let process = Process::unknown(ProcessKey { pid: 7, start: 0 });
    let (header, users, processes) = (Header::default(), Users::default(), Asked::default());
    let record = SyscallRecord::new(&header, event, Some(&process), &processes, &users).unwrap();
    let value = |record: &SyscallRecord, field: &&&str| {
        record.field(schema().find_field(SYSCALL_SOURCE, field).unwrap(), None).is_some()
    };
    assert_eq!(fields.iter().filter(|field| value(&record, field)).count(), values);
    assert_eq!(*processes.0.borrow(), asked);
    let view = record.with_event(event);
    assert_eq!(fields.iter().filter(|field| value(&view, field)).count(), values);
    assert_eq!(*processes.0.borrow(), asked, "another view asks again");
}

#[test]
fn each_thing_is_asked_once() {
    check(&["proc.name", "proc.tty"], &[], 2);
    check(&["proc.stdin.type", "proc.stdin.name", "proc.stdin.name"], &["0"], 3);
    check(&["proc.stderr.type", "proc.stderr.name", "proc.stdout.name"], &["2", "1"], 1);
    check(&["proc.nthreads", "proc.nchilds"], &["threads"], 2);
    check(&["fd.types", "fd.types"], &["types"], 2);
    check(&["proc.fdopencount", "proc.fdusage"], &["descriptors"], 0);
}
