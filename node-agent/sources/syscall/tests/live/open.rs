//! The open family, of which arm64 lacks `open` and `creat`.

use std::{ffi::CString, fs, os::unix::fs::MetadataExt, path::Path};

use crate::harness::{Seen, child, only, probe, watch};

#[cfg(target_arch = "x86_64")]
const OPEN: u16 = 3;
#[cfg(target_arch = "x86_64")]
const CREAT: u16 = 59;
const OPENAT: u16 = 307;
const OPENAT2: u16 = 327;
const ALL: [&str; 4] = ["open", "creat", "openat", "openat2"];

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().to_str().expect("UTF-8")).expect("no NUL")
}

fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().canonicalize().expect("its path");
    (folder, path)
}

#[cfg(target_arch = "x86_64")]
#[test]
fn open_through_a_symlink_tells_both_names() {
    let (_keep, folder) = folder();
    fs::write(folder.join("target"), "x").expect("a file");
    std::os::unix::fs::symlink("target", folder.join("link")).expect("a link");
    let name = c(folder.join("link"));
    let act = || child(|| call!(SYS_open, name.as_ptr(), libc::O_RDWR | libc::O_APPEND));
    let Some(event) = only(&ALL, OPEN, act) else { return };
    assert!(event.number(0) >= 3);
    assert_eq!(event.text(1), folder.join("link").to_str().unwrap());
    assert_eq!(event.number(2), 3 | 8, "O_RDWR, O_APPEND in the event's own numbers");
    assert_eq!(event.number(3), 0, "no mode without O_CREAT");
    assert_inode(&event, 4, &folder.join("target"));
    assert_eq!(event.text(6), folder.join("target").to_str().unwrap());
    assert_eq!(event.bytes(7), b"", "an absolute name needs no directory");
}

fn assert_inode(event: &Seen, dev_at: usize, path: &Path) {
    let file = fs::metadata(path).expect("the file");
    assert_eq!(event.number(dev_at).cast_unsigned(), file.dev());
    assert_eq!(event.number(dev_at + 1).cast_unsigned(), file.ino());
}

#[test]
fn openat_relative_to_a_directory_tells_its_path() {
    let (_keep, folder) = folder();
    fs::create_dir(folder.join("sub")).expect("a directory");
    let (base, name) = (c(&folder), c("sub/../new"));
    let act = || {
        child(|| {
            let dir = call!(SYS_openat, libc::AT_FDCWD, base.as_ptr(), libc::O_PATH | libc::O_DIRECTORY);
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL | libc::O_CLOEXEC;
            call!(SYS_openat, dir, name.as_ptr(), flags, 0o640)
        })
    };
    let Some(mut probe) = probe(&["openat"]) else { return };
    let seen = watch(&mut probe, act);
    let event =
        seen.iter().find(|event| event.code == OPENAT && event.text(2) == "sub/../new").expect("the openat");
    assert!(event.number(1) >= 3, "the directory's descriptor");
    assert_eq!(event.number(3), 2 | 4 | 32 | 4096 | 16384, "O_WRONLY, CREAT, EXCL, CLOEXEC, created");
    assert_eq!(event.number(4), 0o640);
    assert_inode(event, 5, &folder.join("new"));
    assert_eq!(event.text(7), folder.join("new").to_str().unwrap());
    assert_eq!(event.text(8), folder.to_str().unwrap());
}

#[test]
fn failed_openat_keeps_its_arguments() {
    let name = c("does/not/exist");
    let act = || child(|| call!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0));
    let Some(event) = only(&ALL, OPENAT, act) else { return };
    assert_eq!(event.number(0), -i64::from(libc::ENOENT));
    assert_eq!(event.number(1), -100);
    assert_eq!(event.text(2), "does/not/exist");
    assert_eq!(event.number(3), 1, "O_RDONLY");
    assert_eq!((event.number(5), event.number(6)), (0, 0), "no device, no inode");
    assert_eq!(event.bytes(7), b"", "nothing was opened");
    assert_eq!(event.text(8), std::env::current_dir().unwrap().to_str().unwrap());
}

#[test]
fn openat2_tells_how_to_resolve() {
    let name = c("/proc/self/status");
    let how = [libc::O_NOFOLLOW as u64, 0, libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH];
    let act = || child(|| call!(SYS_openat2, libc::AT_FDCWD, name.as_ptr(), how.as_ptr(), 24));
    let Some(event) = only(&ALL, OPENAT2, act) else { return };
    assert_eq!(event.number(0), -i64::from(libc::EXDEV), "beneath forbids an absolute name");
    assert_eq!(event.text(2), "/proc/self/status");
    assert_eq!(event.number(5), 8 | 1, "NO_SYMLINKS, BENEATH");
    assert_eq!(event.param_count(), 10);
}

#[test]
fn openat2_crosses_mounts() {
    let name = c("/proc/self/status");
    let act = || {
        child(|| {
            let how = [0_u64; 3];
            call!(SYS_openat2, libc::AT_FDCWD, name.as_ptr(), how.as_ptr(), 24)
        })
    };
    let Some(event) = only(&ALL, OPENAT2, act) else { return };
    assert_eq!(event.text(8), format!("/proc/{}/status", event.tid));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn creat_tells_mode_and_path() {
    let (_keep, folder) = folder();
    let name = c(folder.join("made"));
    let act = || child(|| call!(SYS_creat, name.as_ptr(), 0o600));
    let Some(event) = only(&ALL, CREAT, act) else { return };
    assert!(event.number(0) >= 3);
    assert_eq!(event.number(2), 0o600);
    assert_inode(&event, 3, &folder.join("made"));
    assert_eq!(event.text(6), folder.join("made").to_str().unwrap());
}

#[test]
fn a_process_in_a_chroot_is_told_paths_as_it_sees_them() {
    let (_keep, folder) = folder();
    fs::write(folder.join("inside"), "x").expect("a file");
    let (root, name) = (c(&folder), c("/inside"));
    let act = || {
        child(|| {
            call!(SYS_chroot, root.as_ptr());
            call!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0)
        })
    };
    let Some(event) = only(&ALL, OPENAT, act) else { return };
    assert_eq!(event.text(7), "/inside");
}

#[test]
fn a_path_that_is_too_deep_is_not_absolute() {
    let (_keep, folder) = folder();
    let deep = folder.join("d/".repeat(200));
    fs::create_dir_all(&deep).expect("directories");
    let name = c(&deep);
    let act = || child(|| call!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0));
    let Some(event) = only(&ALL, OPENAT, act) else { return };
    let resolved = event.text(7);
    assert!(resolved.starts_with("d/d/") && resolved.len() > 200, "{resolved}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_i386_open_from_a_64_bit_program_is_an_open() {
    use crate::harness::{i386, low_page};
    let name = low_page(b"/etc/../etc/hostname\0");
    let Some(event) = only(&ALL, OPEN, || child(|| i386(5, name, 0))) else { return };
    assert!(event.number(0) >= 3);
    assert_eq!(event.text(1), "/etc/../etc/hostname");
    assert_eq!(event.text(6), "/etc/hostname");
}
