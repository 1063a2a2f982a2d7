//! Opens that no rule can match are left out, and no others: the kernel's own path counts, not only the text.

use std::{
    ffi::CString,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use saker_engine::prefilter::PathTable;
use saker_rules::{limits::MAX_DEPTH, parse::parse};
use saker_source_syscall::{FilterMode, Item, PathFilter, Probe};

use crate::harness::{Seen, child, probe, watch};

const CALLS: [&str; 4] = ["open", "creat", "openat", "openat2"];

/// The filter of a rule with this condition.
fn filter(condition: &str) -> PathFilter {
    let condition = parse(condition, MAX_DEPTH).expect("a condition");
    let table = PathTable::new([&condition].into_iter()).expect("a small table");
    PathFilter {
        kinds: table.kinds,
        classes: table.classes,
        stride: u32::try_from(table.stride).expect("at most 256"),
        second: table.second.into(),
        next: table.next,
        bits: table.bits,
    }
}

/// A probe that reports opens of `secret` in the folder, and the folder, where one can run.
fn guarded(mode: FilterMode) -> Option<(Probe, tempfile::TempDir, std::path::PathBuf)> {
    let mut probe = probe(&CALLS)?;
    let keep = tempfile::tempdir().expect("a temporary directory");
    let folder = keep.path().canonicalize().expect("its path");
    for name in ["secret", "other"] {
        fs::write(folder.join(name), "x").expect("a file");
    }
    fs::create_dir(folder.join("sub")).expect("a directory");
    symlink("secret", folder.join("link")).expect("a link to the file");
    symlink(&folder, folder.join("sub/up")).expect("a link to the directory");
    let rule = format!(
        "evt.type in (open, openat, openat2, creat) and fd.num >= 0 and fd.name = {}/secret",
        folder.display()
    );
    probe.set_filter(Some(&filter(&rule)), mode).expect("a filter");
    Some((probe, keep, folder))
}

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().to_str().expect("UTF-8")).expect("no NUL")
}

/// How often the child's opens are reported when it opens `path`, in the folder.
fn opens(probe: &mut Probe, folder: &Path, path: &str) -> usize {
    let (folder, path) = (c(folder), c(path.replace("FOLDER", folder.to_str().expect("UTF-8"))));
    let act = || {
        child(|| {
            call!(SYS_chdir, folder.as_ptr());
            call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY)
        })
    };
    watch(probe, act).iter().filter(|event| is_open(event)).count()
}

fn is_open(event: &Seen) -> bool {
    [3, 59, 307, 327].contains(&event.code)
}

#[test]
fn every_way_to_a_file_is_reported() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    let ways = [
        "FOLDER/secret",
        "FOLDER/link",
        "secret",
        "link",
        "./secret",
        "FOLDER//secret",
        "FOLDER/sub/../secret",
        "FOLDER/sub/up/secret",
        "FOLDER/sub/up/sub/up/link",
        "/proc/self/cwd/secret",
        "/proc/self/root/FOLDER/secret",
    ];
    for way in ways {
        assert_eq!(opens(&mut probe, &folder, way), 1, "{way}");
    }
}

#[test]
fn a_name_that_differs_in_one_byte_is_another() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    probe
        .set_filter(Some(&filter("evt.type = openat and fd.name contains Z")), FilterMode::Drop)
        .expect("a filter");
    let mut links = Vec::new();
    for len in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 38, 39, 40, 41, 60] {
        for at in [0, len / 2, len - 1] {
            let name = |byte: &str| "a".repeat(at) + byte + &"a".repeat(len - at - 1);
            let target = folder.join(name("Z"));
            fs::write(&target, "").expect("a file");
            let link = folder.join(name("y"));
            let _ = fs::remove_file(&link);
            symlink(&target, &link).expect("a link to it");
            links.push(c(link));
        }
    }
    let seen = watch(&mut probe, || {
        child(|| {
            for link in &links {
                call!(SYS_openat, -1, link.as_ptr(), 0);
            }
            0
        })
    });
    assert_eq!(seen.iter().filter(|event| is_open(event)).count(), links.len());
}

#[test]
fn mounts_on_the_way_hide_nothing() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    let sub = folder.join("sub");
    let [root, secret, sub, link, other, bound] = [
        Path::new("/").into(),
        folder.join("secret"),
        sub.clone(),
        sub.join("link"),
        sub.join("other"),
        sub.join("secret"),
    ]
    .map(c);
    let folder = c(folder);
    let seen = watch(&mut probe, || {
        child(|| {
            let none = std::ptr::null::<u8>();
            call!(SYS_unshare, libc::CLONE_NEWNS);
            call!(SYS_mount, none, root.as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none);
            call!(SYS_mount, none, sub.as_ptr(), c"tmpfs".as_ptr(), 0, none);
            call!(SYS_symlinkat, secret.as_ptr(), -1, link.as_ptr());
            call!(SYS_mknodat, -1, other.as_ptr(), libc::S_IFREG | 0o600, 0);
            for name in [&link, &other] {
                call!(SYS_openat, -1, name.as_ptr(), 0);
            }
            call!(SYS_mount, folder.as_ptr(), sub.as_ptr(), none, libc::MS_BIND, none);
            call!(SYS_openat, -1, bound.as_ptr(), 0)
        })
    });
    let opened: Vec<_> = seen.iter().filter(|event| is_open(event)).map(|event| event.text(2)).collect();
    assert_eq!(opened, [link.to_str().expect("UTF-8")]);
}

#[test]
fn what_no_rule_matches_is_left_out_and_counted() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    let filtered = |probe: &Probe| probe.counters().expect("counters").total(|row| row.filtered);
    for way in ["FOLDER/other", "FOLDER/missing", "FOLDER/secret/x", "FOLDER/sub/up/other"] {
        let before = filtered(&probe);
        assert_eq!(opens(&mut probe, &folder, way), 0, "{way}");
        assert!(filtered(&probe) > before, "{way}");
    }
}

#[test]
fn every_call_is_filtered() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    let (link, other) = (c(folder.join("link")), c(folder.join("other")));
    let how = [0_u64; 3];
    let seen = watch(&mut probe, || {
        child(|| {
            for name in [&link, &other] {
                call!(SYS_openat, -1, name.as_ptr(), 0);
                call!(SYS_openat2, -1, name.as_ptr(), how.as_ptr(), 24);
                #[cfg(target_arch = "x86_64")]
                call!(SYS_open, name.as_ptr(), 0);
                #[cfg(target_arch = "x86_64")]
                call!(SYS_creat, name.as_ptr(), 0o600);
            }
            0
        })
    });
    let codes: Vec<_> = seen.iter().filter(|event| is_open(event)).map(|event| event.code).collect();
    let all = [307, 327, 3, 59];
    assert_eq!(codes, if cfg!(target_arch = "x86_64") { &all } else { &all[..2] });
}

#[test]
fn a_marked_open_is_handed_over_as_rejected() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Mark) else { return };
    let (name, stop) = (c(folder.join("other")), AtomicBool::new(false));
    let pid = child(|| call!(SYS_openat, -1, name.as_ptr(), 0));
    let mut rejected = 0;
    probe.run(&stop, &mut |item| match item {
        Item::Rejected(event) => {
            rejected += u32::from(event.origin.is_some_and(|o| i64::from(o.tgid) == i64::from(pid)));
        }
        Item::Idle(_) => stop.store(true, Ordering::Relaxed),
        _ => {}
    });
    assert_eq!(rejected, 1);
}

#[test]
fn without_a_filter_every_open_is_reported() {
    let Some((mut probe, _keep, folder)) = guarded(FilterMode::Drop) else { return };
    probe.set_filter(None, FilterMode::Drop).expect("no filter");
    assert_eq!(opens(&mut probe, &folder, "FOLDER/other"), 1);
}

#[test]
fn sockets_of_other_families_are_left_out_or_marked() {
    let Some(mut probe) = probe(&["socket"]) else { return };
    let act = || {
        child(|| {
            for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_PACKET, 77, -1] {
                call!(SYS_socket, family, libc::SOCK_DGRAM, 0);
            }
            0
        })
    };
    let families = |seen: &[Seen]| -> Vec<_> {
        seen.iter().filter(|event| event.code == 19).map(|event| event.number(1)).collect()
    };
    assert_eq!(families(&watch(&mut probe, act)), [1, 2, 17, 77, 0xffff_ffff]);
    let filtered = |probe: &Probe| probe.counters().expect("counters").total(|row| row.filtered);
    for (wanted, reported) in [(1_u64 << 17, &[17][..]), (1 << 63, &[77, 0xffff_ffff]), (1 << 1, &[1])] {
        let before = filtered(&probe);
        probe.set_families(wanted, FilterMode::Drop).expect("families");
        assert_eq!(families(&watch(&mut probe, act)), reported);
        assert!(filtered(&probe) >= before + 3);
    }
    probe.set_families(1 << 17, FilterMode::Mark).expect("families");
    let (pid, stop, mut marked) = (act(), AtomicBool::new(false), 0);
    probe.run(&stop, &mut |item| match item {
        Item::Rejected(event) => {
            marked += u32::from(event.origin.is_some_and(|o| i64::from(o.tgid) == i64::from(pid)));
        }
        Item::Idle(_) => stop.store(true, Ordering::Relaxed),
        _ => {}
    });
    assert_eq!(marked, 4);
}
