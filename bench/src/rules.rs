//! How long rules take: to load, and on events that none of them matches. Events are made once and stay in memory.

#![allow(clippy::print_stdout, reason = "the table is this program's output")]

use std::{
    cell::Cell,
    fmt::Write as _,
    fs, hint,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use saker_engine::{Options, RulesHandle, SyscallEngine};
use saker_events::{
    Event, SYSCALL_SOURCE, load_options,
    process::{Image, Process, ProcessKey, Processes},
    record::{Header, SyscallRecord},
    users::Users,
    write,
};
use saker_rules::{
    load::{SourceFile, load},
    ruleset::{Matching, RuleSet, Scratch},
    schema::ProcessState,
};

use crate::{allocations, clock, report::row};

const ROUNDS: usize = 9;
/// Passes over all events in a round.
const PASSES: usize = 10_000;
const UPSTREAM: [&str; 4] =
    ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"];

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

/// The first `count` of upstream's files, the stable rules first.
pub fn upstream(folder: &Path, count: usize) -> Result<Vec<SourceFile>> {
    UPSTREAM.iter().take(count).map(|name| read(folder, name)).collect()
}

fn read(folder: &Path, name: &str) -> Result<SourceFile> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(SourceFile::new(name, text))
}

/// Prints the rows of rules; `folder` has upstream's rules files.
pub fn print(folder: &Path) -> Result<()> {
    println!("| figure | median | min | max |\n|---|---|---|---|");
    let upstream = upstream(folder, 4)?;
    let (stable, syscalls) = (&upstream[..1], &upstream[..3]);
    time_load("load of upstream's four files, ms", &upstream)?;
    time_load("load of 10 000 rules, ms", &[generated(10_000)])?;
    let sets = [
        ("25 rules", stable.to_vec()),
        ("93 rules", syscalls.to_vec()),
        ("1000 rules", vec![generated(1000)]),
    ];
    let events = Events::new()?;
    for (name, files) in sets {
        let rules = compile(&files)?;
        events.evaluate(name, &rules)?;
        events.engine(name, &rules)?;
    }
    Ok(())
}

/// Rules as people write them, with literals of their own.
fn generated(count: usize) -> SourceFile {
    let mut text = String::from(
        "- macro: opens\n  condition: evt.type in (open, openat, openat2) and fd.num >= 0\n\
         - macro: starts\n  condition: evt.type in (execve, execveat) and evt.res = 0\n\
         - list: shells\n  items: [bash, dash, sh, zsh]\n",
    );
    for i in 0..count {
        let condition = match i % 4 {
            0 => format!("opens and fd.name startswith /srv/app{i}/ and not proc.name in (shells)"),
            1 => format!("starts and proc.name in (tool{i}, helper{i}) and not proc.pname = init{i}"),
            2 => format!("opens and proc.name = daemon{i} and fd.name contains secret{i}"),
            _ => format!("starts and (proc.exepath = /opt/bin{i} or proc.name = run{i}) and user.uid = 0"),
        };
        let _ = write!(
            text,
            "- rule: Rule {i}\n  desc: d\n  condition: {condition}\n  output: \"%proc.name\"\n  priority: NOTICE\n  tags: [a, b]\n"
        );
    }
    SourceFile::new("generated.yaml", text)
}

fn compile(files: &[SourceFile]) -> Result<Arc<RuleSet>> {
    let loaded = load(files, &load_options());
    let error = loaded.files.iter().flat_map(|file| &file.errors).next();
    loaded.rules.with_context(|| format!("the rules do not load: {error:?}"))
}

fn time_load(name: &str, files: &[SourceFile]) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        hint::black_box(compile(files)?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    row(name, times);
    Ok(())
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

struct Events(Vec<Vec<u8>>);

impl Events {
    fn new() -> Result<Self> {
        let mut records = Vec::new();
        for (name, params) in EVENTS {
            let row = write::row(name)?;
            let params = write::params(row, &serde_json::from_str(params)?)?;
            records.push(write::event(1_700_000_000_000_000_000, 100, row.code, &params));
        }
        Ok(Self(records))
    }

    fn parsed(&self) -> Result<Vec<Event<'_>>> {
        Ok(self.0.iter().map(|record| Event::parse(record)).collect::<Result<_, _>>()?)
    }

    /// The rules alone, on records that are made before.
    fn evaluate(&self, name: &str, rules: &RuleSet) -> Result<()> {
        let (header, family, users) = (Header::default(), Family::new(), Users::default());
        let events = self.parsed()?;
        let records: Vec<_> = events
            .iter()
            .filter_map(|event| {
                SyscallRecord::new(&header, *event, Some(&family.members[1]), &family, &users)
            })
            .collect();
        ensure!(records.len() == EVENTS.len(), "an event is not in the table");
        let (mut scratch, mut matched) = (Scratch::default(), 0_usize);
        measure(&format!("{name}: evaluation"), || {
            family.execs.set(family.execs.get() + 1);
            for record in &records {
                rules.evaluate(SYSCALL_SOURCE, record, Matching::First, &mut scratch, |_| matched += 1);
            }
        });
        ensure!(matched == 0, "{matched} matches: the events are meant to match no rule");
        Ok(())
    }

    /// The engine's whole step: process table, record, rules.
    fn engine(&self, name: &str, rules: &Arc<RuleSet>) -> Result<()> {
        let mut engine = SyscallEngine::new(&RulesHandle::new(Arc::clone(rules)), &Options::new("bench"));
        let events = self.parsed()?;
        let mut alerts = 0_usize;
        measure(&format!("{name}: engine"), || {
            for event in &events {
                engine.event(event, &mut |_| alerts += 1);
            }
        });
        ensure!(alerts == 0, "{alerts} alerts: the events are meant to match no rule");
        Ok(())
    }
}

/// Prints nanoseconds of the processor and allocations per event; `pass` goes over all events once.
fn measure(name: &str, mut pass: impl FnMut()) {
    pass();
    let (mut times, count) = (Vec::new(), as_f64(PASSES * EVENTS.len()));
    let before = allocations::count();
    for _ in 0..ROUNDS {
        let start = clock::thread();
        (0..PASSES).for_each(|_| pass());
        times.push(nanoseconds(clock::thread().saturating_sub(start)) / count);
    }
    let allocations = as_f64(allocations::count() - before) / count / as_f64(ROUNDS);
    row(&format!("{name}, ns/event"), times);
    row(&format!("{name}, allocations/event"), [allocations]);
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[allow(clippy::cast_precision_loss, reason = "counts of a run fit in 52 bits")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
