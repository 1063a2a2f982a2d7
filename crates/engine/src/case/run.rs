//! Runs a case through the live engine.

use std::sync::Arc;

use saker_alert::Alert;
use saker_events::{Event, users::Users};

use super::{
    Case, CaseEvent, Mismatch, expect,
    syscall::{SyscallCase, UserCase},
    unknown,
};
use crate::{AuditEngine, Options, RulesHandle, SyscallEngine};

/// Runs a case and compares the alerts; an empty list says that it holds. The error says what is wrong with the
/// case itself.
pub fn run(case: &Case, rules: &RulesHandle) -> Result<Vec<Mismatch>, String> {
    let mut alerts = Vec::new();
    let mut sink = |alert| alerts.push(alert);
    let options = Options { users: Arc::new(users(case)), ..Options::new("case") };
    let mut syscalls = SyscallEngine::new(rules, &options);
    let mut audit = AuditEngine::new(rules.clone(), &options);
    for (number, event) in (0..).zip(&case.events) {
        let done = match event {
            CaseEvent::Syscall(event) => syscall(&mut syscalls, event, number, &mut sink),
            CaseEvent::Audit(event) => {
                audit.event(event.clone(), &mut sink);
                Ok(())
            }
        };
        done.map_err(|reason| format!("event {}: {reason}", number.saturating_add(1)))?;
    }
    let rules = rules.load();
    let mut names = rules.rules().iter().map(|rule| rule.info.name.as_str());
    if !names.clone().any(|name| name == case.rule) {
        return Err(unknown("rule", &case.rule, &mut names));
    }
    Ok(expect::compare(&case.expect, &alerts))
}

/// The history makes no alerts: it is what was before the case began.
fn syscall(
    engine: &mut SyscallEngine,
    event: &SyscallCase,
    number: u64,
    sink: &mut dyn FnMut(Alert),
) -> Result<(), String> {
    let records = event.records(number)?;
    for record in &records.history {
        engine.scan(&parse(record, number)?);
    }
    engine.event(&parse(&records.event, number)?, sink);
    Ok(())
}

fn parse(record: &[u8], number: u64) -> Result<Event<'_>, String> {
    let mut event = Event::parse(record).map_err(|e| e.to_string())?;
    event.num = number.saturating_add(1);
    Ok(event)
}

/// The users that the case names, in the form of `/etc/passwd`.
fn users(case: &Case) -> Users {
    let users = case.events.iter().filter_map(|event| match event {
        CaseEvent::Syscall(event) => Some(&event.user),
        CaseEvent::Audit(_) => None,
    });
    let line = |user: &UserCase| Some(format!("{}:x:{}:0:::\n", user.name.as_ref()?, user.uid));
    Users::parse(&users.filter_map(line).collect::<String>(), "")
}
