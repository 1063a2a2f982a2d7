//! What the rules in force need of the probe.

use saker_engine::prefilter::PathTable;
use saker_events::{SYSCALL_SOURCE, schema};
use saker_rules::{load::Loaded, ruleset::RuleSet};
use saker_source_syscall::{PathFilter, SyscallSet};

/// The calls that rules are about, and the opens among them that can match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The calls to report.
    pub syscalls: SyscallSet,
    /// The opens to report; all if there is no filter.
    pub filter: Option<PathFilter>,
}

impl Wanted {
    /// What these rules need.
    pub fn new(loaded: &Loaded, rules: &RuleSet) -> Self {
        let filter = PathTable::new(loaded.conditions(SYSCALL_SOURCE)).map(path_filter);
        Self { syscalls: syscalls(rules), filter }
    }

    /// All that the probe can report.
    pub fn everything() -> Self {
        Self { syscalls: SyscallSet::all(), filter: None }
    }
}

/// The calls of these rules that the probe can report; the load report names rules that need others.
fn syscalls(rules: &RuleSet) -> SyscallSet {
    let schema = schema();
    let needed = rules.needed_event_types(SYSCALL_SOURCE);
    let names = needed.iter().filter_map(|id| schema.event_types().get(usize::from(id.0)));
    let names: Vec<_> =
        names.map(|e| e.name).filter(|name| SyscallSet::from_names([*name]).is_ok()).collect();
    SyscallSet::from_names(names).unwrap_or_default()
}

fn path_filter(table: PathTable) -> PathFilter {
    let PathTable { classes, stride, next, bits, second, kinds } = table;
    let stride = u32::try_from(stride).unwrap_or(0);
    PathFilter { kinds, classes, stride, second: second.into(), next, bits }
}
