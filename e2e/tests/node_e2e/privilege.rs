//! What the kernel says about the rights of our processes in containers: no more than the chart asks for.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use saker_e2e::say;

/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF by their numbers.
const AGENT: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;

/// Reads `/proc` of this machine, which is that of the nodes with `e2e/node.sh` and with kind on Linux.
pub fn check() {
    let (agents, operators) = (processes("saker-agent"), processes("saker-operator"));
    if agents.is_empty() || operators.is_empty() {
        say("skipped: rights of the processes (the nodes are not on this machine)");
        return;
    }
    for process in agents {
        limited(&process, "0", AGENT);
    }
    for process in operators {
        limited(&process, "65532", 0);
    }
}

fn limited(process: &Path, user: &str, capabilities: u64) {
    let status = status(process);
    let set = |name: &str| u64::from_str_radix(&status[name], 16).expect("a set of capabilities");
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(name), capabilities, "{name} of {status:?}");
    }
    assert_eq!(status["Uid"].split('\t').next(), Some(user), "{status:?}");
    assert_eq!(status["NoNewPrivs"], "1", "{status:?}");
    assert_eq!(status["Seccomp"], "2", "{status:?}");
    let mounts = fs::read_to_string(process.join("mountinfo")).expect("mounts");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
    let options = root.split(' ').nth(5).unwrap_or_default();
    assert!(options.split(',').any(|option| option == "ro"), "the root is writable: {root}");
}

fn status(process: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(process.join("status")).expect("a process");
    let pairs = text.lines().filter_map(|line| line.split_once(":\t"));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Those of this name in pods.
fn processes(name: &str) -> Vec<PathBuf> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = all.filter(|path| read(path.join("comm")).trim() == name);
    ours.filter(|path| read(path.join("cgroup")).contains("kubepods")).collect()
}
