//! Rules that are loaded and can never match here: they are named, never silently false.

use saker_events::{SYSCALL_SOURCE, fields, schema};
use saker_rules::{
    load::Loaded,
    ruleset::{Rule, RuleSet},
};
use saker_source_syscall::SyscallSet;

/// Events that the probe reports whatever calls are wanted.
const ALWAYS: [&str; 7] = ["clone", "clone3", "fork", "vfork", "execve", "execveat", "procexit"];

/// Each blind rule with the reason; `runtimes` says whether a container runtime can be asked.
pub fn rules(loaded: &Loaded, rules: &RuleSet, runtimes: bool) -> Vec<(String, String)> {
    let fields = loaded.blind.iter();
    let fields = fields.map(|blind| (blind.rule.clone(), format!("{}: {}", blind.field, blind.reason)));
    let enabled = rules.rules().iter().filter(|rule| rule.info.enabled && rule.info.source == SYSCALL_SOURCE);
    let unseen = enabled.filter(|rule| !is_seen(rule)).map(|rule| {
        let reason = "the probe captures none of the events that it is about yet";
        (rule.info.name.clone(), reason.to_owned())
    });
    let unanswered = if runtimes { Vec::new() } else { loaded.readers(fields::is_metadata) };
    let unanswered = unanswered.into_iter().map(|(rule, field)| {
        (
            rule,
            format!("{field} is what a container runtime tells, and none was found: see container_engines"),
        )
    });
    fields.chain(unseen).chain(unanswered).collect()
}

/// Whether the probe captures any event of the rule.
fn is_seen(rule: &Rule) -> bool {
    let schema = schema();
    let mut names = rule.event_types.iter().filter_map(|id| schema.event_types().get(usize::from(id.0)));
    names.any(|event| ALWAYS.contains(&event.name) || SyscallSet::from_names([event.name]).is_ok())
}
