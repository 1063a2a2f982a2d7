//! What is attached goes on without the capabilities that it took to attach it.

use std::thread;

use crate::harness::{child, ready, syscalls, watch};

/// Takes all capabilities from this thread, and so from those that it starts.
fn drop_capabilities() {
    const VERSION: u32 = 0x2008_0522;
    let (header, none) = ([VERSION, 0], [0_u32; 6]);
    assert_eq!(call!(SYS_capset, header.as_ptr(), none.as_ptr()), 0);
}

#[test]
fn a_probe_goes_on_without_capabilities() {
    let test = || {
        let Some(mut probe) = ready(&["openat", "connect"]) else { return };
        drop_capabilities();
        let opens = || {
            child(|| {
                call!(SYS_openat, libc::AT_FDCWD, c"/dev/null".as_ptr(), 0);
                call!(SYS_mkdirat, libc::AT_FDCWD, c"/no/such/place".as_ptr(), 0)
            })
        };
        let codes = |seen: Vec<crate::harness::Seen>| seen.iter().map(|seen| seen.code).collect::<Vec<_>>();
        let seen = codes(watch(&mut probe, opens));
        assert!(seen.contains(&307) && !seen.contains(&305), "{seen:?}");
        probe.set_syscalls(&syscalls(&["mkdirat"])).expect("a map can be written without");
        let seen = codes(watch(&mut probe, opens));
        assert!(!seen.contains(&307) && seen.contains(&305), "{seen:?}");
    };
    thread::spawn(test).join().expect("the thread ends");
}
