//! The process table under streams of forks, execs and exits, in and out of order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use saker_engine::process_table::{DEFAULT_CAPACITY, ProcessTable};
use saker_events::{
    Event, Origin,
    process::{Processes, lineage},
    table::{EventRow, code},
    write,
};
use serde_json::{Value, json};

const BOOT: u64 = 1_700_000_000_000_000_000;

/// An event as the probe sends it, owned.
#[derive(Debug, Clone)]
struct Sent {
    origin: Origin,
    bytes: Vec<u8>,
}

fn sent(code: u16, pid: u32, start: u64, named: &Value) -> Sent {
    let row = EventRow::of(code).expect("a row");
    let params = write::params(row, named.as_object().expect("an object")).expect("parameters");
    let bytes = write::event(BOOT + start, pid.into(), code, &params);
    Sent { origin: Origin { tgid: pid, start }, bytes }
}

fn fork(pid: u32, start: u64, ppid: u32) -> Sent {
    let named =
        json!({"res": 0, "pid": pid, "tid": pid, "ptid": ppid, "flags": 0, "comm": "sh", "exe": "-sh"});
    sent(code::SYSCALL_CLONE_20_X, pid, start, &named)
}

fn exec(pid: u32, start: u64, ppid: u32, comm: &str) -> Sent {
    let exepath = format!("/bin/{comm}");
    let named = json!({"res": 0, "pid": pid, "tid": pid, "ptid": ppid, "comm": comm, "exe": comm,
        "args": ["-a", "b"], "trusted_exepath": exepath, "uid": 0, "cwd": "/root", "vpid": pid});
    sent(code::SYSCALL_EXECVE_19_X, pid, start, &named)
}

fn exit(pid: u32, start: u64) -> Sent {
    sent(code::PROCEXIT_1_E, pid, start, &json!({"status": 0}))
}

fn feed(table: &mut ProcessTable, stream: &[Sent]) {
    for Sent { origin, bytes } in stream {
        let mut event = Event::parse(bytes).expect("an event");
        event.origin = Some(*origin);
        table.before(&event);
        table.after(&event);
    }
}

fn table(stream: &[Sent]) -> ProcessTable {
    let mut table = ProcessTable::new(DEFAULT_CAPACITY, BOOT);
    feed(&mut table, stream);
    table
}

fn names(table: &ProcessTable, pid: u32) -> Vec<String> {
    let all = lineage(table.at(pid, u64::MAX), table);
    all.map(|p| String::from_utf8_lossy(&p.comm).into_owned()).collect()
}

#[test]
fn a_child_inherits_and_its_exec_replaces() {
    let table = table(&[exec(10, 1, 1, "bash"), fork(20, 2, 10), fork(30, 3, 20), exec(30, 3, 20, "cat")]);
    assert_eq!(names(&table, 30), ["cat", "sh", "bash"]);
    let child = table.at(20, u64::MAX).expect("known");
    assert_eq!(&*child.image.exepath, b"/bin/bash", "a fork runs its parent's program");
    assert_eq!(child.started, BOOT + 2);
    assert_eq!(&*table.at(30, u64::MAX).expect("known").cwd, b"/root/");
}

#[test]
fn ancestry_survives_the_end_of_the_parent() {
    let stream = [exec(10, 1, 1, "bash"), fork(20, 2, 10), exec(20, 2, 10, "nohup"), exit(10, 1)];
    let mut table = table(&stream);
    assert_eq!(names(&table, 20), ["nohup", "bash"]);
    feed(&mut table, &[exec(20, 2, 1, "daemon")]);
    assert_eq!(names(&table, 20), ["daemon", "bash"], "who adopted it is not who started it");
}

#[test]
fn an_id_used_again_is_another_process() {
    let table = table(&[
        exec(10, 1, 1, "old"),
        fork(20, 2, 10),
        exit(10, 1),
        fork(10, 5, 1),
        exec(10, 5, 1, "new"),
        fork(30, 6, 10),
    ]);
    assert_eq!(names(&table, 20), ["sh", "old"]);
    assert_eq!(names(&table, 30), ["sh", "new"]);
    assert_eq!(table.counters().missed_exits, 0);
}

#[test]
fn a_missed_exit_is_found_when_the_id_returns() {
    let table = table(&[exec(10, 1, 1, "old"), exec(10, 5, 1, "new")]);
    assert_eq!(table.counters().missed_exits, 1);
    assert_eq!(names(&table, 10), ["new"]);
}

#[test]
fn an_exec_alone_is_enough() {
    let table = table(&[exec(20, 2, 10, "cat")]);
    assert_eq!(names(&table, 20), ["cat"]);
    assert_eq!(table.at(20, u64::MAX).expect("known").ptid, 10);
}

#[test]
fn the_table_keeps_to_its_bound() {
    let mut small = ProcessTable::new(3, BOOT);
    feed(&mut small, &[fork(1, 1, 0), fork(2, 2, 1), exit(2, 2), fork(3, 3, 1), fork(4, 4, 1)]);
    assert_eq!((small.len(), small.counters().forgotten), (3, 1), "who ended goes first");
    assert!(small.at(2, u64::MAX).is_none());
    feed(&mut small, &[exec(3, 3, 1, "busy"), fork(5, 5, 1)]);
    assert_eq!((small.len(), small.counters().evicted), (3, 1));
    assert!(small.at(4, u64::MAX).is_none(), "then who was quiet for longest");
    assert_eq!(names(&small, 5), ["sh", "sh"], "but nobody's parent");
}

/// What the descriptor of a directory tells (`probe/facts.h`): its mode, in two letters, no more, and its path.
fn directory(path: &str) -> Value {
    json!(format!("m@{}{path}", "\0".repeat(14)))
}

#[track_caller]
fn check_cwd(calls: &[(u16, Value)], cwd: &str) {
    let table = after(calls);
    assert_eq!(String::from_utf8_lossy(&table.at(7, 100).expect("7").cwd), cwd, "{calls:?}");
}

/// A process after these calls.
fn after(calls: &[(u16, Value)]) -> ProcessTable {
    let calls = calls.iter().map(|(code, named)| sent(*code, 7, 10, named));
    table(&[exec(7, 10, 1, "sh")].into_iter().chain(calls).collect::<Vec<_>>())
}

#[test]
fn a_process_is_where_it_went() {
    let chdir = |res: i32, path: &str, told: &str| {
        (code::SYSCALL_CHDIR_X, json!({"res": res, "path": path, "dirpath": told}))
    };
    let fchdir =
        |res: i32| (code::SYSCALL_FCHDIR_X, json!({"res": res, "fd": 3, "fdfacts": directory("/srv/www")}));
    check_cwd(&[chdir(0, "/tmp", "")], "/tmp/");
    check_cwd(&[chdir(-2, "/tmp", "")], "/root/");
    check_cwd(&[chdir(0, "link", "/var/spool")], "/var/spool/");
    check_cwd(&[fchdir(0)], "/srv/www/");
    check_cwd(&[fchdir(-20)], "/root/");
    let unlink = json!({"res": 0, "path": "x", "dirpath": "/etc"});
    check_cwd(&[(code::SYSCALL_UNLINK_2_X, unlink)], "/etc/");
    let beside = json!({"res": 0, "dirfd": 5, "name": "x", "dirpath": "/etc"});
    check_cwd(&[(code::SYSCALL_UNLINKAT_2_X, beside)], "/root/");
}

#[test]
fn ids_and_capabilities_are_those_that_a_process_gave_itself() {
    let seen = |calls: &[(u16, Value)]| {
        let table = after(calls);
        let process = table.at(7, 100).expect("7");
        (process.uid, process.gid, process.caps.effective)
    };
    let setreuid =
        |ruid: u32, euid: u32| (code::SYSCALL_SETREUID_X, json!({"res": 0, "ruid": ruid, "euid": euid}));
    let start = seen(&[]);
    assert_eq!(start.0, 0);
    assert_eq!(seen(&[setreuid(5, 6)]), (6, start.1, start.2));
    assert_eq!(seen(&[setreuid(5, u32::MAX)]), start, "an id that stays as it is");
    let capset = json!({"res": 0, "cap_inheritable": 0, "cap_permitted": 3, "cap_effective": 1});
    assert_eq!(seen(&[(code::SYSCALL_CAPSET_X, capset)]), (0, start.1, 1));
    let user = json!({"res": 0, "flags": 1_048_576});
    assert!(seen(&[(code::SYSCALL_UNSHARE_X, user)]).2 >= start.2);
}

#[test]
fn a_thread_is_no_process() {
    let named = json!({"res": 0, "pid": 10, "tid": 11, "ptid": 1, "flags": 8192, "comm": "worker"});
    let thread = sent(code::SYSCALL_CLONE_20_X, 10, 1, &named);
    let table = table(&[exec(10, 1, 1, "bash"), thread]);
    assert_eq!(table.len(), 1);
    assert_eq!(names(&table, 10), ["bash"]);
}

/// A family tree of forks and execs, in order and shuffled; ids return when their process has ended.
fn streams() -> impl Strategy<Value = (Vec<Sent>, Vec<Sent>)> {
    let births = prop::collection::vec((0..100usize, 1..12u32, any::<bool>()), 1..40);
    births.prop_map(|births| family(&births)).prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle()))
}

fn family(births: &[(usize, u32, bool)]) -> Vec<Sent> {
    let mut stream = Vec::new();
    let mut alive: BTreeMap<u32, u64> = BTreeMap::new();
    for (start, (parent, pid, execs)) in (1..).zip(births) {
        if let Some(start) = alive.remove(pid) {
            stream.push(exit(*pid, start));
        }
        let parent = alive.keys().nth(parent % alive.len().max(1)).copied().unwrap_or(1000);
        stream.push(fork(*pid, start, parent));
        if *execs {
            stream.push(exec(*pid, start, parent, &format!("p{start}")));
        }
        alive.insert(*pid, start);
    }
    stream
}

/// What rules see of a process and of those above it.
fn seen(table: &ProcessTable, pid: u32) -> Vec<(i64, i64, Vec<u8>, Vec<u8>)> {
    let all = lineage(table.at(pid, u64::MAX), table);
    all.map(|p| (p.pid, p.ptid, p.comm.to_vec(), p.image.exepath.to_vec())).collect()
}

proptest! {
    /// What rules remember of a process is true as long as they may, in and out of order.
    #[test]
    fn the_same_state_is_seen_the_same((ordered, shuffled) in streams()) {
        for stream in [ordered, shuffled] {
            let mut table = ProcessTable::new(8, BOOT);
            let mut known = Vec::new();
            for sent in stream {
                feed(&mut table, &[sent]);
                for pid in 1..12 {
                    let Some(state) = table.at(pid, u64::MAX).and_then(|p| table.state(p)) else { continue };
                    let seen = seen(&table, pid);
                    match known.iter().find(|(other, _)| *other == state) {
                        Some((_, before)) => prop_assert_eq!(before, &seen),
                        None => known.push((state, seen)),
                    }
                }
            }
        }
    }

    #[test]
    fn order_does_not_change_who_started_whom((ordered, shuffled) in streams()) {
        let (a, b) = (table(&ordered), table(&shuffled));
        for sent in &ordered {
            let parent = |t: &ProcessTable| {
                let process = t.at(sent.origin.tgid, sent.origin.start)?;
                Some((process.ptid, t.parent(process).map(|p| p.key)))
            };
            prop_assert_eq!(parent(&a), parent(&b));
        }
    }
}
