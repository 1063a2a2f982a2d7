//! Processes that come and go.

use std::process::Command;

use crate::harness::{CLONE, EXECVE, PROCEXIT, Seen, child, fork, probe, watch, watch_all};

const FORK_FAMILY: [u16; 4] = [CLONE, 225, 227, 335];

#[test]
fn a_fork_is_told_by_the_child() {
    let Some(mut probe) = probe(&[]) else { return };
    let own = i64::from(std::process::id());
    let seen = watch(&mut probe, || child(|| 7));
    let [fork, exit] = &seen[..] else { panic!("a fork and an exit: {seen:?}") };
    assert_eq!(fork.code, CLONE, "libc forks by clone");
    assert_eq!(fork.number(0), 0);
    assert_eq!(fork.text(1), std::env::args().next().unwrap());
    assert_eq!((fork.number(3), fork.number(4)), (fork.tid, fork.tid));
    assert_eq!(fork.text(6), std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(fork.number(15) & (8192 | 32768), 0, "neither a thread nor shared memory");
    assert_eq!(fork.number(5), own, "the process, whichever of its threads forked");
    let statuses: Vec<_> = (0..4).map(|at| exit.number(at)).collect();
    assert_eq!(statuses, [7 << 8, 7, 0, 0], "status, ret, sig, core");
    assert_eq!(fork.origin, exit.origin);
    assert!(fork.ts < exit.ts && fork.num < exit.num);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_raw_fork_has_its_own_code() {
    let Some(mut probe) = probe(&[]) else { return };
    let raw = || {
        let pid = call!(SYS_fork);
        if pid == 0 {
            call!(SYS_exit, 0);
        }
        call!(SYS_wait4, pid, 0, 0, 0);
        pid
    };
    assert_eq!(watch(&mut probe, raw)[0].code, 225);
}

#[test]
fn a_signal_ends_a_process() {
    let Some(mut probe) = probe(&[]) else { return };
    let seen = watch(&mut probe, || child(|| call!(SYS_kill, std::process::id(), libc::SIGKILL)));
    let exit = seen.iter().find(|event| event.code == PROCEXIT).expect("the exit");
    assert_eq!((exit.number(1), exit.number(2)), (0, i64::from(libc::SIGKILL)));
}

#[test]
fn a_thread_is_told_as_one() {
    let Some(mut probe) = probe(&[]) else { return };
    let act = || child(|| i32::from(std::thread::spawn(|| ()).join().is_err()));
    let seen = watch(&mut probe, act);
    let is_thread = |event: &&Seen| FORK_FAMILY.contains(&event.code) && event.number(3) != event.number(4);
    let thread = seen.iter().find(is_thread).expect("a thread");
    assert_eq!(thread.number(15) & (8192 | 32768 | 1 | 2), 8192 | 32768 | 1 | 2, "THREAD, VM, FILES, FS");
}

#[test]
fn a_process_tells_its_life_in_order() {
    let Some(mut probe) = probe(&["openat"]) else { return };
    let seen = watch(&mut probe, || {
        let mut running = Command::new("/bin/true").spawn().expect("a program");
        running.wait().expect("it ends");
        i32::try_from(running.id()).expect("a pid")
    });
    let codes: Vec<_> = seen.iter().map(|event| event.code).collect();
    assert!(FORK_FAMILY.contains(&codes[0]), "{codes:?}");
    assert_eq!(codes[1], EXECVE, "{codes:?}");
    assert_eq!(codes.last(), Some(&PROCEXIT), "{codes:?}");
    assert!(codes.len() > 4 && codes[2..codes.len() - 1].iter().all(|code| *code == 307), "{codes:?}");
    assert!(seen.is_sorted_by_key(|event| event.ts));
}

/// Who gets the children of a process that ends, by the ends that name somebody.
#[track_caller]
fn check_reaper(act: impl FnOnce() -> i32 + Send, is_reaper: impl Fn(i64, i64) -> bool) {
    let Some(mut probe) = probe(&[]) else { return };
    let (seen, pid) = watch_all(&mut probe, || child(act));
    let of_child = |event: &&Seen| event.code == PROCEXIT && is_reaper(event.number(4), pid);
    assert!(seen.iter().any(|event| of_child(&event)), "{pid}: {seen:?}");
}

/// Forks a process that lives a little longer.
fn outlived() {
    if fork() == 0 {
        let little = [0_i64, 300_000_000];
        call!(SYS_nanosleep, little.as_ptr(), 0);
        call!(SYS_exit_group, 0);
    }
}

#[test]
fn children_go_to_who_asked_for_them() {
    let asks = || {
        call!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        let between = fork();
        if between == 0 {
            outlived();
            call!(SYS_exit_group, 0);
        }
        call!(SYS_wait4, between, 0, 0, 0);
        call!(SYS_wait4, -1, 0, 0, 0).min(0)
    };
    check_reaper(asks, |reaper, pid| reaper == pid);
}

#[test]
fn children_of_a_thread_go_to_another() {
    let ends_first = || {
        let ended = std::thread::spawn(outlived).join().is_ok();
        call!(SYS_wait4, -1, 0, 0, 0);
        i32::from(!ended)
    };
    check_reaper(ends_first, |reaper, pid| reaper == pid);
}
