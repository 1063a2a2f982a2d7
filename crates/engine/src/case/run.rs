//! Runs a case.
use super::{Case, Mismatch};
/// x
pub fn run(case: &Case) -> Result<Vec<Mismatch>, String> {
    for (n, e) in (0u64..).zip(&case.events) {
        if let super::CaseEvent::Syscall(s) = e {
            let r = s.records(n)?;
            let _ = (r.history, r.event, &s.user.name, s.user.uid);
        }
    }
    Ok(super::expect::compare(&case.expect, &[]))
}
