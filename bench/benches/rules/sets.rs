//! The rules that are measured: upstream's, from the folder `rules` of `SAKER_FIXTURES`, and generated ones.

use std::{
    env,
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
};

use saker_events::load_options;
use saker_rules::load::{Loaded, SourceFile, load};

const UPSTREAM: [&str; 4] =
    ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"];

/// Rules that are loaded together.
#[derive(Debug, Clone, Copy)]
pub enum Set {
    /// Upstream's stable rules.
    Stable,
    /// All of upstream's for system calls.
    Syscalls,
    /// All of upstream's, those for audit events too.
    Upstream,
    /// So many, each with literals of its own.
    Generated(usize),
}

impl Set {
    /// Those of these that can be had: upstream's only if their files are there.
    pub fn available(sets: &[Self]) -> Vec<Self> {
        let available = |set: &&Self| matches!(set, Self::Generated(_)) || fixtures().is_some();
        sets.iter().filter(available).copied().collect()
    }

    /// Its files.
    pub fn files(self) -> Vec<SourceFile> {
        match self {
            Self::Stable => upstream(1),
            Self::Syscalls => upstream(3),
            Self::Upstream => upstream(4),
            Self::Generated(count) => vec![generated(count)],
        }
    }

    /// Its rules and what was said of them.
    pub fn load(self) -> Loaded {
        let loaded = load(&self.files(), &load_options());
        let error = loaded.files.iter().flat_map(|file| &file.errors).next();
        assert!(loaded.rules.is_some(), "{self} do not load: {error:?}");
        loaded
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable => f.write_str("25 rules"),
            Self::Syscalls => f.write_str("93 rules"),
            Self::Upstream => f.write_str("141 rules"),
            Self::Generated(count) => write!(f, "{count} rules"),
        }
    }
}

/// The folder of upstream's files, if there is one.
pub fn fixtures() -> Option<PathBuf> {
    env::var_os("SAKER_FIXTURES").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The first `count` of upstream's files, the stable rules first.
fn upstream(count: usize) -> Vec<SourceFile> {
    let folder = fixtures().unwrap_or_default().join("rules");
    UPSTREAM.iter().take(count).map(|name| read(&folder, name)).collect()
}

fn read(folder: &Path, name: &str) -> SourceFile {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    SourceFile::new(name, text)
}

/// Rules as people write them, with literals of their own.
fn generated(count: usize) -> SourceFile {
    let mut text = String::from(
        "- macro: opens\n  condition: evt.type in (open, openat, openat2) and fd.num >= 0\n\
         - macro: starts\n  condition: evt.type in (execve, execveat) and evt.res = 0\n\
         - list: shells\n  items: [bash, dash, sh, zsh]\n",
    );
    for i in 0..count {
        let condition = match i % 4 {
            0 => format!("opens and fd.name startswith /srv/app{i}/ and not proc.name in (shells)"),
            1 => format!("starts and proc.name in (tool{i}, helper{i}) and not proc.pname = init{i}"),
            2 => format!("opens and proc.name = daemon{i} and fd.name contains secret{i}"),
            _ => format!("starts and (proc.exepath = /opt/bin{i} or proc.name = run{i}) and user.uid = 0"),
        };
        let _ = write!(
            text,
            "- rule: Rule {i}\n  desc: d\n  condition: {condition}\n  output: \"%proc.name\"\n  priority: NOTICE\n  tags: [a, b]\n"
        );
    }
    SourceFile::new("generated.yaml", text)
}
