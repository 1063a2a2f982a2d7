//! What the rules in force need of the probe.

use std::collections::BTreeSet;

use saker_engine::{
    prefilter::{self, PathTable},
    process_table::CHANGES,
};
use saker_events::{
    SYSCALL_SOURCE, fields,
    table::{EVENTS, EventRow, event_flags, event_types},
};
use saker_rules::{
    load::Loaded,
    ruleset::{Rule, RuleSet},
};
use saker_source_syscall::{PathFilter, SyscallSet};

/// The calls that rules are about, and the opens among them that can match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The calls to report.
    pub syscalls: SyscallSet,
    /// The opens to report; all if there is no filter.
    pub filter: Option<PathFilter>,
    /// The address families of sockets to report, see [`prefilter::families`].
    pub families: u64,
    /// Whether a rule asks what was closed.
    pub closing: bool,
}

impl Wanted {
    /// What these rules need.
    pub fn new(loaded: &Loaded, rules: &RuleSet) -> Self {
        let filter = PathTable::new(loaded.conditions(SYSCALL_SOURCE)).map(path_filter);
        let families = prefilter::families(loaded.conditions(SYSCALL_SOURCE));
        Self { syscalls: syscalls(rules), filter, families, closing: asks_what_was_closed(rules) }
    }

    /// Whether all calls are reported by which processes change themselves.
    pub fn follows_changes(&self) -> bool {
        let reported: BTreeSet<_> = self.syscalls.names().collect();
        changes().all(|name| reported.contains(name))
    }

    /// All that the probe can report.
    pub fn everything() -> Self {
        Self { syscalls: SyscallSet::all(), filter: None, families: u64::MAX, closing: true }
    }
}

/// The calls by which processes change themselves, as events are called.
fn changes() -> impl Iterator<Item = &'static str> {
    CHANGES.iter().filter_map(|code| EventRow::of(*code)).map(|row| row.name)
}

/// The calls of these rules that the probe can report, and those that change what such calls tell of their process; the
/// load report names rules that need others.
fn syscalls(rules: &RuleSet) -> SyscallSet {
    let enabled = rules.rules().iter().filter(|rule| rule.info.enabled && rule.info.source == SYSCALL_SOURCE);
    let mut names: BTreeSet<_> = enabled.flat_map(event_names).collect();
    names.retain(|name| SyscallSet::from_names([*name]).is_ok());
    if names.iter().any(|name| !EXECS.contains(name)) {
        names.extend(changes());
    }
    SyscallSet::from_names(names).unwrap_or_default()
}

/// At the exit of `close` the descriptor is gone: to know it costs a hook of its own.
fn asks_what_was_closed(rules: &RuleSet) -> bool {
    let asking = rules.asks_for(SYSCALL_SOURCE, fields::tells_descriptor);
    asking.iter().filter_map(|id| event_types().get(usize::from(id.0))).any(|ty| ty.name == "close")
}

/// They tell anew all that there is to know of their process.
const EXECS: [&str; 2] = ["execve", "execveat"];

/// The events that a rule is about. A rule that does not say which, or only which not, is not about data that flows
/// and threads that wait: as with Falco (`falco -i`), such calls are reported to rules that name them.
fn event_names(rule: &Rule) -> impl Iterator<Item = &'static str> {
    let types = event_types();
    let named = rule.event_types.len() <= types.len() / 2;
    let names = rule.event_types.iter().filter_map(|id| types.get(usize::from(id.0))).map(|ty| ty.name);
    names.filter(move |name| named || !is_high_volume(name))
}

fn is_high_volume(name: &str) -> bool {
    let flows = event_flags::READS_FROM_FD | event_flags::WRITES_TO_FD | event_flags::WAITS;
    name == "futex" || EVENTS.iter().any(|row| row.name == name && row.any(flows))
}

fn path_filter(table: PathTable) -> PathFilter {
    let PathTable { classes, stride, next, bits, second, kinds } = table;
    let stride = u32::try_from(stride).unwrap_or(0);
    PathFilter { kinds, classes, stride, second: second.into(), next, bits }
}

#[cfg(test)]
mod tests {
    use saker_events::load_options;
    use saker_rules::load::{SourceFile, load};

    use super::*;

    fn compiled(condition: &str, output: &str) -> std::sync::Arc<RuleSet> {
        let text = format!(
            "- rule: r\n  desc: d\n  condition: {condition}\n  output: \"{output}\"\n  priority: INFO\n"
        );
        load(&[SourceFile::new("r.yaml", text)], &load_options()).rules.unwrap()
    }

    /// Whether a rule of this condition makes the probe report the call.
    fn wants(condition: &str, call: &str) -> bool {
        syscalls(&compiled(condition, "o")).names().any(|name| name == call)
    }

    #[test]
    fn calls_that_change_a_process_are_reported_with_those_that_tell_of_it() {
        for (condition, call, expected) in [
            ("evt.type=connect", "setresuid", true),
            ("evt.type=connect", "fchdir", true),
            ("evt.type=connect", "unlink", false),
            ("evt.type in (execve, execveat)", "setresuid", false),
        ] {
            assert_eq!(wants(condition, call), expected, "{condition}: {call}");
        }
    }

    #[test]
    fn what_was_closed_is_told_to_rules_that_ask_for_it() {
        for (condition, output, expected) in [
            ("evt.type=close and fd.name=/x", "o", true),
            ("evt.type=close", "%fd.type", true),
            ("fd.name=/x", "o", true),
            ("evt.type=close and fd.num=3", "%proc.name", false),
            ("evt.type=open and fd.name=/x", "%fd.name", false),
        ] {
            let rules = compiled(condition, output);
            assert_eq!(asks_what_was_closed(&rules), expected, "{condition}: {output}");
        }
    }

    #[test]
    fn calls_that_flow_are_reported_to_rules_that_name_them() {
        for (condition, call, expected) in [
            ("evt.type=read and proc.name=x", "read", true),
            ("proc.name=x", "read", false),
            ("evt.type!=open and proc.name=x", "sendto", false),
            ("proc.name=x", "ptrace", true),
            ("proc.name=x", "madvise", true),
            ("evt.type=pread", "pread64", true),
            ("evt.type=setuid", "setuid32", true),
        ] {
            assert_eq!(wants(condition, call), expected, "{condition}: {call}");
        }
    }
}
