//! A probe whose links are gone is noticed. Alone in its process, because it takes the links of all probes there are.
#![expect(unsafe_code, reason = "takes descriptors away, as an attacker would")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    collections::HashSet,
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aya::maps::{Array, Map, MapData, MapInfo, loaded_maps};
use saker_source_syscall::{HookState, Item, Probe, Settings, SyscallSet};

const SOON: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);

/// Puts something else in the place of every link of this process, which detaches the programs.
fn take_links() -> usize {
    let null = File::open("/dev/null").expect("/dev/null");
    let links = fs::read_dir("/proc/self/fd").expect("our descriptors").flatten().filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().contains("bpf_link"))
    });
    let links: Vec<i32> = links.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for link in &links {
        // SAFETY: both are open descriptors; the probe only closes its own later, which then is this one.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), *link) }, *link);
    }
    links.len()
}

/// Changes the map of the calls to report, as other programs of root can.
fn want_no_connections() {
    let own: HashSet<u32> = fs::read_dir("/proc/self/fdinfo")
        .expect("our descriptors")
        .flatten()
        .filter_map(|entry| map_id(&entry))
        .collect();
    let named = |info: &MapInfo| info.name_as_str() == Some("syscalls") && own.contains(&info.id());
    let info = loaded_maps().filter_map(Result::ok).find(named).expect("the map of this probe");
    let map = Map::Array(MapData::from_id(info.id()).expect("a map that is there"));
    let mut calls = Array::<_, [u64; 11]>::try_from(map).expect("an array");
    let mut wanted = calls.get(&0, 0).expect("its element");
    // The number of connect.
    wanted[0] ^= 1 << 42;
    calls.set(0, wanted, 0).expect("a map that can be changed");
}

fn map_id(entry: &fs::DirEntry) -> Option<u32> {
    let info = fs::read_to_string(entry.path()).ok()?;
    info.lines().find_map(|line| line.strip_prefix("map_id:")?.trim().parse().ok())
}

/// Runs the probe until `done` or the time is over. Gives the hooks that fell silent.
fn listen(probe: &mut Probe, time: Duration, done: usize) -> Vec<&'static str> {
    let (stop, started, mut silent) = (AtomicBool::new(false), Instant::now(), Vec::new());
    probe.run(&stop, &mut |item| {
        if let Item::Heard(heard) = item {
            assert!(!heard.alive, "nothing comes back here");
            silent.push(heard.hook);
            silent.sort_unstable();
        }
        stop.store(silent.len() == done || started.elapsed() > time, Ordering::Relaxed);
    });
    silent
}

#[test]
fn detached_hooks_are_noticed() {
    // SAFETY: it has no preconditions.
    if unsafe { libc::geteuid() } != 0 || !Path::new("/sys/kernel/btf/vmlinux").exists() {
        eprintln!("skipped: needs root and BTF");
        return;
    }
    let syscalls = SyscallSet::from_names(["connect"]).expect("a call");
    let mut probe = Probe::load(&Settings { syscalls, ..Settings::default() }).expect("a probe");
    for _ in 0..12 {
        assert_eq!(listen(&mut probe, SOON, 1), [""; 0], "a probe that works is heard");
        if !probe.is_loading() {
            break;
        }
    }
    assert!(!probe.is_loading(), "the hooks that can wait are in place");
    want_no_connections();
    assert_eq!(listen(&mut probe, PATIENCE, 1), ["map syscalls"]);
    let mut hooks: Vec<_> = probe.hooks().iter().filter(|hook| hook.state == HookState::Attached).collect();
    hooks.retain(|hook| hook.name != "scan");
    let mut hooks: Vec<_> = hooks.iter().map(|hook| hook.name).collect();
    hooks.sort_unstable();
    assert_eq!(take_links(), hooks.len());
    assert_eq!(listen(&mut probe, PATIENCE, hooks.len()), hooks);
}
