//! One event at a time, in memory since before, that no rule matches: nanoseconds and allocations are those of an event.

use std::{cell::Cell, sync::Arc};

use divan::Bencher;
use saker_engine::{Options, RulesHandle, SyscallEngine};
use saker_events::{
    Event, SYSCALL_SOURCE,
    process::{Image, Process, ProcessKey, Processes},
    record::{Header, SyscallRecord},
    users::Users,
    write,
};
use saker_rules::{
    ruleset::{Matching, RuleSet, Scratch},
    schema::ProcessState,
};

use crate::sets::Set;

const SETS: [Set; 3] = [Set::Stable, Set::Syscalls, Set::Generated(1000)];

/// Ordinary events of an ordinary program: name and parameters as JSON. None matches any rule.
const EVENTS: [(&str, &str); 8] = [
    ("openat", r#"{"fd": 3, "dirfd": -100, "name": "/usr/lib/x86_64-linux-gnu/libc.so.6", "flags": 1}"#),
    ("openat", r#"{"fd": 4, "dirfd": -100, "name": "/var/lib/app/cache/0001.tmp", "flags": 6}"#),
    ("open", r#"{"fd": 5, "name": "/proc/self/status", "flags": 1}"#),
    (
        "execve",
        r#"{"res": 0, "exe": "/usr/bin/app", "comm": "app", "args": ["--serve"], "tid": 100, "pid": 100, "ptid": 1}"#,
    ),
    ("connect", r#"{"res": 0, "fd": 6, "tuple": ["10.0.0.5:41000", "10.0.0.6:5432"]}"#),
    ("unlinkat", r#"{"res": 0, "dirfd": -100, "name": "/var/lib/app/cache/0001.tmp", "flags": 0}"#),
    (
        "renameat",
        r#"{"res": 0, "olddirfd": -100, "oldpath": "/var/lib/app/a", "newdirfd": -100, "newpath": "/var/lib/app/b"}"#,
    ),
    ("openat", r#"{"fd": -2, "dirfd": -100, "name": "/etc/app/missing.conf", "flags": 1}"#),
];

/// The rules alone, on records that are made before.
#[divan::bench(args = Set::available(&SETS), sample_count = 100, sample_size = 80_000)]
fn evaluation(bencher: Bencher<'_, '_>, set: Set) {
    let (header, family, users) = (Header::default(), Family::new(), Users::default());
    let (rules, bytes) = (rules(set), encoded());
    let record = |event| {
        SyscallRecord::new(&header, event, Some(&family.members[1]), &family, &users).expect("a table")
    };
    let records: Vec<_> = parsed(&bytes).into_iter().map(record).collect();
    let (mut scratch, mut matched, mut turn) =
        (Scratch::default(), 0_usize, records.iter().enumerate().cycle());
    measure(bencher, || {
        if let Some((at, record)) = turn.next() {
            family.execs.set(family.execs.get() + u64::from(at == 0));
            rules.evaluate(SYSCALL_SOURCE, record, Matching::First, &mut scratch, |_| matched += 1);
        }
    });
    assert_eq!(matched, 0, "the events are meant to match no rule");
}

/// The engine's whole step: process table, record, rules.
#[divan::bench(args = Set::available(&SETS), sample_count = 100, sample_size = 80_000)]
fn engine(bencher: Bencher<'_, '_>, set: Set) {
    let mut engine = SyscallEngine::new(&RulesHandle::new(rules(set)), &Options::new("bench"));
    let bytes = encoded();
    let events = parsed(&bytes);
    let (mut alerts, mut turn) = (0_usize, events.iter().cycle());
    measure(bencher, || {
        if let Some(event) = turn.next() {
            engine.event(event, &mut |_| alerts += 1);
        }
    });
    assert_eq!(alerts, 0, "the events are meant to match no rule");
}

/// The first pass makes room, which the others use.
fn measure(bencher: Bencher<'_, '_>, mut event: impl FnMut()) {
    (0..EVENTS.len()).for_each(|_| event());
    bencher.bench_local(event);
}

fn rules(set: Set) -> Arc<RuleSet> {
    set.load().rules.expect("rules that load")
}

fn encoded() -> Vec<Vec<u8>> {
    let encode = |(name, params): (&str, &str)| -> anyhow::Result<Vec<u8>> {
        let row = write::row(name)?;
        let params = write::params(row, &serde_json::from_str(params)?)?;
        Ok(write::event(1_700_000_000_000_000_000, 100, row.code, &params))
    };
    EVENTS.into_iter().map(|event| encode(event).expect("an event of the table")).collect()
}

fn parsed(records: &[Vec<u8>]) -> Vec<Event<'_>> {
    records.iter().map(|record| Event::parse(record).expect("a whole event")).collect()
}

/// A process and its parent; no table, so that the rules alone are measured. As in the tables, an exec makes the process
/// another one.
#[derive(Debug)]
struct Family {
    members: [Process; 2],
    execs: Cell<u64>,
}

impl Family {
    fn new() -> Self {
        let process = |pid: u32, ppid: u32, comm: &str| Process {
            key: ProcessKey { pid, start: pid.into() },
            tid: pid.into(),
            pid: pid.into(),
            ptid: i64::from(ppid),
            comm: comm.as_bytes().into(),
            cwd: b"/var/lib/app/"[..].into(),
            image: Arc::new(Image {
                exe: comm.as_bytes().into(),
                exepath: format!("/usr/bin/{comm}").into_bytes().into(),
                args: b"--serve\0"[..].into(),
                ..Image::default()
            }),
            ..Process::default()
        };
        Self { members: [process(1, 0, "systemd"), process(100, 1, "app")], execs: Cell::new(0) }
    }
}

impl Processes for Family {
    fn at(&self, pid: u32, _: u64) -> Option<&Process> {
        self.members.iter().find(|process| process.key.pid == pid)
    }

    fn state(&self, process: &Process) -> Option<ProcessState> {
        Some(ProcessState { who: process.key.pid.into(), version: self.execs.get(), changes: 0 })
    }
}
