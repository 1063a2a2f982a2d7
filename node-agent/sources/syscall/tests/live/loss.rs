//! What is reported, what is lost, and what is never reported.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use saker_source_syscall::{HookState, Item, Lane, Probe, RingBytes, Settings};

use crate::harness::{PATIENCE, child, load, probe, syscalls, watch};

const OPENAT: u16 = 307;

fn open_often(times: u32) -> i32 {
    child(|| {
        for _ in 0..times {
            call!(SYS_openat, libc::AT_FDCWD, c"/dev/null".as_ptr(), 0);
        }
        0
    })
}

#[test]
fn every_lost_record_is_reported() {
    let ring_bytes = RingBytes { bulk: 4096, ..RingBytes::default() };
    let Some(mut probe) = load(&Settings { syscalls: syscalls(&["openat"]), ring_bytes }) else { return };
    open_often(500);
    probe.set_syscalls(&syscalls(&[])).expect("no more opens");
    let dropped = probe.counters().expect("counters").total(|row| row.ring_full);
    let sent = probe
        .counters()
        .expect("counters")
        .total(|row| if row.class.lane() == Lane::Bulk { row.events } else { 0 });
    assert!(dropped > 400, "{dropped} of 500 do not fit into a page");
    assert_eq!(drain(&mut probe, (sent, dropped)), (sent, dropped));
}

/// Whether it is time to stop: there is what was waited for, and nothing more came meanwhile.
fn is_over(started: Instant, done: bool) -> bool {
    started.elapsed() > if done { Duration::from_millis(1300) } else { PATIENCE }
}

/// Bulk events and lost records, as many as expected or more.
fn drain(probe: &mut Probe, expected: (u64, u64)) -> (u64, u64) {
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let (mut delivered, mut lost) = (0, 0);
    probe.run(&stop, &mut |item| match item {
        Item::Event(event) => delivered += u64::from(event.code == OPENAT),
        Item::Gap { lane, lost: more, .. } => {
            assert_eq!(lane, Lane::Bulk);
            lost += more;
        }
        Item::Idle(_) => stop.store(is_over(started, (delivered, lost) == expected), Ordering::Relaxed),
        Item::Rejected(_) | Item::Heard(_) => {}
    });
    (delivered, lost)
}

/// Opens far more than the ring holds between any two of the forks.
#[test]
fn a_flood_of_opens_costs_no_fork_and_no_exit() {
    const FORKS: usize = 50;
    let ring_bytes = RingBytes { bulk: 4096, ..RingBytes::default() };
    let Some(mut probe) = load(&Settings { syscalls: syscalls(&["openat"]), ring_bytes }) else { return };
    open_often(1000);
    let flood = child(|| {
        for _ in 0..FORKS {
            open_often(200);
        }
        0
    });
    probe.set_syscalls(&syscalls(&[])).expect("no more opens");
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let (mut lost, mut processes) = ([0; 2], [0; 2]);
    probe.run(&stop, &mut |item| match item {
        Item::Event(event) => {
            // The parent of an ended process is not told; of a new one it is.
            processes[0] += usize::from(event.code == 223 && parent(event) == Some(i64::from(flood)));
            processes[1] += usize::from(event.code == 186);
        }
        Item::Gap { lane, lost: more, .. } => lost[lane as usize] += more,
        _ => {
            let done = processes[0] >= FORKS && processes[1] > FORKS && lost[Lane::Bulk as usize] > 1000;
            stop.store(is_over(started, done), Ordering::Relaxed);
        }
    });
    assert_eq!(lost[Lane::Rare as usize], 0);
    assert!(lost[Lane::Bulk as usize] > 1000, "the ring was full: {lost:?}");
    assert_eq!(processes[0], FORKS);
    assert!(processes[1] > FORKS, "each that began has ended");
}

fn parent(event: &saker_events::Event<'_>) -> Option<i64> {
    Some(i64::from_le_bytes(event.param(5)?.try_into().ok()?))
}

#[test]
fn system_calls_come_and_go_while_it_runs() {
    let Some(mut probe) = probe(&[]) else { return };
    let opens = |probe: &mut Probe| {
        watch(probe, || open_often(3)).iter().filter(|event| event.code == OPENAT).count()
    };
    let sys_exit = |probe: &Probe| {
        probe.hooks().iter().find(|hook| hook.name == "sys_exit").map(|hook| hook.state.clone())
    };
    assert!(matches!(sys_exit(&probe), Some(HookState::Off(_))));
    assert_eq!(opens(&mut probe), 0);
    probe.set_syscalls(&syscalls(&["openat", "connect"])).expect("attached");
    assert_eq!(sys_exit(&probe), Some(HookState::Attached));
    assert_eq!(opens(&mut probe), 3);
    probe.set_syscalls(&syscalls(&["connect"])).expect("still attached");
    assert_eq!(opens(&mut probe), 0);
    probe.set_syscalls(&syscalls(&[])).expect("detached");
    assert!(matches!(sys_exit(&probe), Some(HookState::Off(_))));
}

#[test]
fn the_process_of_the_probe_is_not_reported() {
    let Some(mut probe) = probe(&["open", "openat"]) else { return };
    let own = std::process::id();
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let mut child_done = false;
    probe.run(&stop, &mut |item| {
        if let Item::Event(event) = item {
            let tgid = event.origin.map(|origin| origin.tgid);
            assert_ne!(tgid, Some(own), "code {}", event.code);
            child_done |= event.code == OPENAT;
        } else if child_done {
            stop.store(true, Ordering::Relaxed);
        } else {
            assert!(started.elapsed() < PATIENCE, "nothing of the child");
            fs::read("/etc/hostname").expect("a file");
            open_often(1);
        }
    });
}

#[test]
fn times_are_those_of_the_wall_clock() {
    let Some(mut probe) = probe(&[]) else { return };
    let now = || std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let before = now();
    let seen = watch(&mut probe, || child(|| 0));
    let (at, second) = (Duration::from_nanos(seen[0].ts), Duration::from_secs(1));
    assert!(before < at + second && at < now() + second, "{at:?} is not after {before:?}");
}

#[test]
fn every_hook_is_attached_here_or_says_why() {
    let Some(probe) = probe(&["open"]) else { return };
    for hook in probe.hooks() {
        match &hook.state {
            HookState::Attached => {}
            HookState::Off(reason) => {
                assert!(hook.name == "scan" && !reason.is_empty(), "{hook:?}");
            }
        }
    }
    assert_eq!(probe.hooks().len(), 5, "those that can wait are not there yet");
    assert!(saker_source_syscall::preflight::checks().iter().all(|check| !check.failed()));
}
