//! Programs that are run.

use std::{ffi::CString, fs, hint::black_box, os::unix::process::CommandExt, process::Command, ptr};

use crate::harness::{EXECVE, Seen, child, copy_program, only, probe, watch, watch_all};

const EXECVEAT: u16 = 331;

fn run(command: &mut Command) -> i32 {
    let mut running = command.spawn().expect("the program starts");
    running.wait().expect("it ends");
    i32::try_from(running.id()).expect("a pid")
}

#[test]
fn exec_tells_the_program_and_its_parent() {
    let act = || {
        run(Command::new("/bin/true")
            .arg0("other name")
            .args(["one", "", "three"])
            .current_dir("/usr")
            .env_clear()
            .env("A", "1"))
    };
    let Some(event) = only(&[], EXECVE, act) else { return };
    assert_eq!(event.number(0), 0);
    assert_eq!(event.text(1), "other name");
    assert_eq!(event.bytes(2), b"one\0\0three\0");
    assert_eq!((event.number(3), event.number(4)), (event.tid, event.tid));
    assert!(event.number(5) > 0, "the thread that made it");
    assert_eq!(event.text(6), "/usr");
    assert_eq!(event.text(13), "true");
    assert_eq!(event.text(15), "A=1");
    assert_eq!(event.text(27), fs::canonicalize("/bin/true").unwrap().to_str().unwrap());
    assert_eq!(event.text(30), "/bin/true");
    assert_eq!(event.param_count(), 35);
    assert_eq!((event.number(32), event.number(33)), (event.tid, event.tid), "vtid and vpid on the host");
}

#[test]
fn exec_tells_the_identity() {
    let act = || run(Command::new("/bin/true").uid(12345).gid(23456).process_group(0));
    let Some(event) = only(&[], EXECVE, act) else { return };
    let numbers = [17, 26, 28, 29].map(|at| event.number(at));
    assert_eq!(numbers, [event.tid, 12345, event.tid, 23456], "vpgid, uid, pgid, gid");
    assert_eq!(event.number(21), 0, "permitted capabilities are gone with uid 0");
    assert_eq!(event.number(19) & 1, 0, "not writable for that user");
    assert_inode(&event, "/bin/true");
}

#[test]
fn groups_and_sessions_have_the_numbers_of_the_pid_namespace() {
    let groups = |program: &[&str]| {
        let mut probe = probe(&[])?;
        let act = || run(Command::new("unshare").args(["--pid", "--fork"]).args(program));
        let (seen, _) = watch_all(&mut probe, act);
        // Other tests run the same program.
        let inside = |event: &&Seen| event.code == EXECVE && event.bytes(2) == b"in a namespace\0";
        let event = seen.iter().find(inside).expect("the program in the namespace");
        Some([17, 31, 33].map(|at| event.number(at)))
    };
    let Some(told) = groups(&["/bin/true", "in a namespace"]) else { return };
    assert_eq!(told, [0, 0, 1], "vpgid and sid of another namespace, and vpid");
    assert_eq!(groups(&["setsid", "/bin/true", "in a namespace"]), Some([1, 1, 1]));
}

fn assert_inode(event: &Seen, path: &str) {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(path).expect("the program");
    let time = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    let known = [
        file.ino().cast_signed(),
        time(file.ctime(), file.ctime_nsec()),
        time(file.mtime(), file.mtime_nsec()),
    ];
    assert_eq!([23, 24, 25].map(|at| event.number(at)), known);
}

#[test]
fn cgroups_are_those_of_the_process() {
    let Some(event) = only(&[], EXECVE, || run(&mut Command::new("/bin/true"))) else { return };
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroups");
    let memory = own.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path);
    let path = memory.or_else(|| own.lines().find_map(|line| line.strip_prefix("0::"))).expect("a path");
    assert!(event.text(14).split('\0').any(|text| text == format!("memory={path}")), "{}", event.text(14));
}

#[test]
fn a_script_runs_its_interpreter() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let script = folder.path().join("script");
    let text = folder.path().join("text");
    fs::write(&text, "#!/bin/sh\nexit 0\n").expect("a text");
    fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    copy_program(text.to_str().expect("UTF-8"), &script);
    let Some(event) = only(&[], EXECVE, || run(&mut Command::new(&script))) else { return };
    assert_eq!(event.text(13), "script");
    assert_eq!(event.text(27), fs::canonicalize("/bin/sh").unwrap().to_str().unwrap());
    assert_eq!(event.text(30), script.to_str().unwrap());
}

#[test]
fn a_program_in_memory_is_told_as_such() {
    let program = fs::read("/bin/true").expect("a program");
    let act = || {
        child(|| {
            let argv = [c"in memory".as_ptr(), ptr::null()];
            let fd = call!(SYS_memfd_create, c"hidden".as_ptr(), libc::MFD_CLOEXEC);
            call!(SYS_write, fd, program.as_ptr(), program.len());
            call!(SYS_execveat, fd, c"".as_ptr(), argv.as_ptr(), argv[1..].as_ptr(), libc::AT_EMPTY_PATH)
        })
    };
    let Some(event) = only(&["execveat"], EXECVEAT, act) else { return };
    assert_eq!(event.number(0), 0);
    assert_eq!(event.text(1), "in memory");
    assert_eq!(event.number(19) & 4, 4, "EXE_FROM_MEMFD");
    assert_eq!(event.text(27), "/memfd:hidden");
    assert_eq!(event.param_count(), 34);
}

#[test]
fn a_failed_exec_keeps_what_was_asked_for() {
    // In memory that was written to, and looked at by the child: the kernel itself does not look at the arguments before
    // the path, and some machines fault when a page is used for the first time after a fork.
    let words = ["asked", "for", "this"].map(|word| CString::new(word).expect("no NUL"));
    let act = || {
        child(|| {
            for word in &words {
                assert_ne!(black_box(word.as_bytes()[0]), 0);
            }
            let argv = [words[0].as_ptr(), words[1].as_ptr(), words[2].as_ptr(), ptr::null()];
            call!(SYS_execve, c"/does/not/exist".as_ptr(), argv.as_ptr(), argv[3..].as_ptr())
        })
    };
    let Some(event) = only(&["execve"], EXECVE, act) else { return };
    assert_eq!(event.number(0), -i64::from(libc::ENOENT));
    assert_eq!(event.text(1), "asked");
    assert_eq!(event.bytes(2), b"for\0this\0");
    assert_eq!(event.text(30), "/does/not/exist");
}

#[test]
fn long_arguments_are_cut_and_the_rest_is_whole() {
    let long = "x".repeat(10_000);
    let act = || run(Command::new("/bin/true").args([&long, &long]).env("LONG", &long));
    let Some(mut probe) = probe(&[]) else { return };
    let seen = watch(&mut probe, act);
    let event = seen.iter().find(|event| event.code == EXECVE).expect("the exec");
    assert_eq!(event.bytes(2).len() + event.bytes(1).len(), 4096);
    assert_eq!(event.bytes(15).len(), 4096);
    assert_eq!(event.text(30), "/bin/true");
    let truncated = probe.counters().expect("counters").total(|row| row.truncated);
    assert!(truncated > 0);
}
