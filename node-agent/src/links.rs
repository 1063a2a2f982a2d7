//! Where paths lead, as a process sees them. No event waits for a file system that a user mounted: first only what the
//! kernel has in memory is looked at (`RESOLVE_CACHED`, Linux 5.12), which the watched process has just put there. That
//! fails where the kernel would note the time at which a link was read, as for links that are some milliseconds old.

mod slow;

use std::{
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::proto::MetricType;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, open, openat2},
    io::Errno,
};
use saker_engine::Links;
use serde::Serialize;

use self::slow::Slow;
use crate::metrics::family::{Extra, Spec};

const FOLLOWED: Spec = (
    "saker_paths_followed_total",
    "Paths of calls that change names, by whether it could be told where they lead",
    MetricType::COUNTER,
);

const HELD_UP: Spec = (
    "saker_paths_held_up",
    "Look-ups of paths that wait for a file system which does not answer; when they are 8 there are no others",
    MetricType::GAUGE,
);

/// How a process may call its own root and working directory.
const OWN_ROOT: [&[u8]; 2] = [b"/proc/self/root", b"/proc/thread-self/root"];
const OWN_DIRECTORY: [&[u8]; 2] = [b"/proc/self/cwd", b"/proc/thread-self/cwd"];

/// Looks at this machine by way of `/proc`.
#[derive(Debug, Default)]
pub struct ProcLinks {
    told: AtomicU64,
    untold: AtomicU64,
    slow: Slow,
}

impl ProcLinks {
    /// What `/metrics` shows.
    pub fn metrics(&self) -> Extra {
        let row = |result: &str, count: &AtomicU64| {
            (FOLLOWED, vec![("result".to_owned(), result.to_owned())], count.load(Relaxed))
        };
        let held_up = u64::try_from(self.slow.held_up()).unwrap_or(u64::MAX);
        let held_up = (HELD_UP, Vec::new(), held_up);
        vec![row("told", &self.told), row("untold", &self.untold), held_up]
    }

    /// What `/status` shows.
    pub fn report(&self) -> Report {
        let held_up = self.slow.held_up();
        Report {
            told: self.told.load(Relaxed),
            untold: self.untold.load(Relaxed),
            held_up,
            off: held_up >= slow::MAX_HELD_UP,
        }
    }
}

/// The part of `/status` about paths of calls that change names.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Paths of which it could be told where they lead.
    told: u64,
    untold: u64,
    /// Look-ups that wait for a file system.
    held_up: usize,
    /// Whether they are so many that only what the kernel has in memory is looked at.
    off: bool,
}

impl Links for ProcLinks {
    fn follow(&self, pids: &[i64], path: &[u8], last: bool) -> Option<Vec<u8>> {
        let told_by = |pid: &i64| {
            let root = Root::of(*pid, &self.slow)?;
            root.follow(&root.without_proc(path), last)
        };
        let found = pids.iter().find_map(told_by);
        let count = if found.is_some() { &self.told } else { &self.untold };
        count.fetch_add(1, Relaxed);
        found
    }
}

/// The root directory of a process.
struct Root<'s> {
    pid: i64,
    fd: OwnedFd,
    path: Vec<u8>,
    slow: &'s Slow,
}

impl<'s> Root<'s> {
    fn of(pid: i64, slow: &'s Slow) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
        let path = name(&fd)?;
        Some(Self { pid, fd, path, slow })
    }

    /// A path that begins with what `/proc` calls the process's own root or directory, without that. Seen from here, it
    /// would be this process's.
    fn without_proc(&self, path: &[u8]) -> Vec<u8> {
        if let Some(rest) = OWN_ROOT.iter().find_map(|own| below(path, own)) {
            return [b"/", rest].concat();
        }
        let here = OWN_DIRECTORY.iter().find_map(|own| below(path, own)).and_then(|rest| {
            let here = fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()?.into_os_string().into_vec();
            Some([&self.inside(&here), &b"/"[..], rest].concat())
        });
        here.unwrap_or_else(|| path.to_vec())
    }

    fn follow(&self, path: &[u8], last: bool) -> Option<Vec<u8>> {
        let path = trimmed(path);
        let (directory, leaf) = path.split_at(path.iter().rposition(|byte| *byte == b'/')?);
        let dots = matches!(leaf, b"/" | b"/." | b"/..");
        let whole = if last || dots { self.look_up(path) } else { None };
        whole.or_else(|| {
            let parent = self.look_up(if directory.is_empty() { b"/" } else { directory })?;
            Some([trimmed(&parent), leaf].concat()).filter(|_| !dots)
        })
    }

    fn look_up(&self, path: &[u8]) -> Option<Vec<u8>> {
        let (flags, how) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT | ResolveFlags::CACHED);
        let found = match openat2(&self.fd, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INVAL) => {
                self.slow.look_up(self.fd.try_clone().ok()?, path.to_vec())?
            }
            found => found.ok()?,
        };
        Some(self.inside(&name(&found)?))
    }

    /// A path from the machine's root, or that of a mount namespace, as the process sees it.
    fn inside(&self, path: &[u8]) -> Vec<u8> {
        match below(path, trimmed(&self.path)) {
            Some(rest) => [b"/", rest].concat(),
            None => path.to_vec(),
        }
    }
}

/// The path of what was opened; `None` if it is deleted.
fn name(fd: &OwnedFd) -> Option<Vec<u8>> {
    let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?.into_os_string().into_vec();
    (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some(path)
}

/// What follows a directory in a path below it, without the slash between them.
fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(directory)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Without slashes at the end; the root is empty then.
fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at.saturating_add(1));
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::{ffi::OsStrExt, fs::symlink},
        process::Stdio,
        time::{Duration, Instant},
    };

    use super::*;

    /// A directory with `real/file`, and links to both.
    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/file"), "").unwrap();
        symlink("real", root.path().join("dir")).unwrap();
        symlink("real/file", root.path().join("link")).unwrap();
        root
    }

    fn at(root: &tempfile::TempDir, path: &str) -> Vec<u8> {
        [root.path().as_os_str().as_bytes(), path.as_bytes()].concat()
    }

    fn follow(links: &ProcLinks, pid: u32, path: &[u8], last: bool) -> Option<Vec<u8>> {
        links.follow(&[pid.into()], path, last)
    }

    #[track_caller]
    fn check(root: &tempfile::TempDir, path: &str, last: bool, wanted: Option<&str>) {
        let path = at(root, path);
        let links = ProcLinks::default();
        let found = follow(&links, std::process::id(), &path, last);
        assert_eq!(found, wanted.map(|wanted| at(root, wanted)), "{}", path.escape_ascii());
        assert_eq!(links.told.load(Relaxed), u64::from(wanted.is_some()));
    }

    #[test]
    fn paths_lead_where_links_point_to() {
        let root = tree();
        check(&root, "/real/file", false, Some("/real/file"));
        check(&root, "/dir/file", false, Some("/real/file"));
        check(&root, "/dir/gone", false, Some("/real/gone"));
        check(&root, "/dir/../real//file/", false, Some("/real/file"));
        check(&root, "/dir/..", false, Some(""));
        check(&root, "/link", false, Some("/link"));
        check(&root, "/link", true, Some("/real/file"));
        check(&root, "/dir/gone", true, Some("/real/gone"));
        check(&root, "/nowhere/file", true, None);
    }

    #[test]
    fn own_names_of_the_process_in_proc_are_its_own() {
        let slow = Slow::default();
        let root = Root::of(std::process::id().into(), &slow).unwrap();
        let here = std::env::current_dir().unwrap().into_os_string().into_vec();
        let check = |path: &[u8], wanted: &[u8]| assert_eq!(root.without_proc(path), wanted);
        check(b"/proc/self/root/etc/x", b"/etc/x");
        check(b"/proc/thread-self/root", b"/");
        check(b"/proc/self/cwd/x", &[&here, &b"/x"[..]].concat());
        check(b"/proc/self/rootless", b"/proc/self/rootless");
        check(b"/etc/x", b"/etc/x");
    }

    #[test]
    fn what_is_below_another_root_is_told_from_there() {
        let slow = Slow::default();
        let own = || Root::of(std::process::id().into(), &slow).unwrap();
        let root = |path: &str| Root { path: path.into(), ..own() };
        assert_eq!(root("/srv/jail").inside(b"/srv/jail/etc"), b"/etc");
        assert_eq!(root("/srv/jail").inside(b"/srv/jail"), b"/");
        assert_eq!(root("/srv/jail").inside(b"/srv/jailed"), b"/srv/jailed");
        assert_eq!(root("/").inside(b"/etc"), b"/etc");
    }

    /// A shell with a file system of its own that answers nothing, mounted on a directory.
    fn deaf_file_system(on: &std::path::Path) -> Option<std::process::Child> {
        let script = "exec 9<>/dev/fuse && mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 deaf \"$0\" && \
                      echo mounted && read end";
        let mut shell = std::process::Command::new("unshare");
        shell.args(["-m", "sh", "-c", script]).arg(on);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut said = String::new();
        BufReader::new(shell.stdout.take()?).read_line(&mut said).ok()?;
        (said == "mounted\n").then_some(shell)
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "says why it is skipped")]
    fn a_file_system_that_never_answers_holds_up_nobody_else() {
        let root = tree();
        let Some(mut shell) = deaf_file_system(&root.path().join("real")) else {
            eprintln!("skipped: needs root and /dev/fuse");
            return;
        };
        let (links, pid) = (ProcLinks::default(), shell.id());
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(follow(&links, pid, &at(&root, "/dir/some/file"), true), None);
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
        assert_eq!(follow(&links, pid, b"/etc/gone", false).as_deref(), Some(&b"/etc/gone"[..]));
        // Until no place is left.
        until(|| {
            let _ = follow(&links, pid, &at(&root, "/dir/some/file"), true);
            links.report().off
        });
        assert_eq!(links.metrics().last().unwrap().2, 8);
        shell.kill().unwrap();
        shell.wait().unwrap();
        until(|| links.report().held_up == 0);
        let slash = || open("/", OFlags::PATH, Mode::empty()).unwrap();
        until(|| links.slow.look_up(slash(), b"/proc".to_vec()).is_some());
    }

    #[track_caller]
    fn until(mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_mins(1), "it does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn of_processes_that_are_gone_nothing_is_told() {
        let (links, gone) = (ProcLinks::default(), i64::from(i32::MAX));
        assert_eq!(links.follow(&[gone], b"/etc/gone", false), None);
        let both = [gone, std::process::id().into()];
        assert_eq!(links.follow(&both, b"/etc/gone", false).as_deref(), Some(&b"/etc/gone"[..]));
        let counts = [&links.told, &links.untold].map(|count| count.load(Relaxed));
        assert_eq!(counts, [1, 1], "a path counts once, however many were asked");
    }
}
