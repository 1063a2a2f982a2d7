//! The processes that exist already.

use std::fs;

use crate::harness::{EXECVE, Seen, probe};

#[test]
fn the_test_itself_is_found() {
    let Some(mut probe) = probe(&[]) else { return };
    let mut own = Vec::new();
    let pid = i64::from(std::process::id());
    let count = probe.scan(|event| {
        if event.tid == pid {
            own.push(Seen::from(event));
        }
    });
    assert!(count.expect("a scan") > 1);
    let [own] = &own[..] else { panic!("one event: {own:?}") };
    assert_eq!(own.code, EXECVE);
    assert_eq!(own.text(1), std::env::args().next().unwrap());
    assert_eq!(own.text(2), std::env::args().skip(1).collect::<Vec<_>>().join("\0"));
    assert_eq!(own.text(6), std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(own.text(13), fs::read_to_string("/proc/self/comm").unwrap().trim());
    assert_eq!(own.text(27), std::env::current_exe().unwrap().to_str().unwrap());
    assert!(own.text(14).contains("memory=/"), "{}", own.text(14));
    let environment = String::from_utf8_lossy(&fs::read("/proc/self/environ").unwrap()).into_owned();
    let first = environment.split('\0').next().unwrap();
    assert!(own.text(15).starts_with(first), "{}", own.text(15));
    assert_origin(own);
}

/// `/proc` gives the start in hundredths of a second.
fn assert_origin(own: &Seen) {
    let stat = fs::read_to_string("/proc/self/stat").expect("stat");
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse::<u64>().unwrap();
    let origin = own.origin.expect("an origin");
    assert_eq!(origin.tgid, std::process::id());
    assert_eq!(origin.start / 10_000_000, start);
}
