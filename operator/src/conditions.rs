//! Conditions of a status, each with the time of its last change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Status, reason and message of a condition.
pub(crate) type Said = (&'static str, &'static str, String);

/// What is said now, beside what was said before.
pub(crate) fn conditions<const N: usize>(
    said: [(&'static str, Said); N],
    old: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |(type_, (status, reason, message)): (&str, Said)| Condition {
        last_transition_time: Time(changed(old, type_, status).unwrap_or(now)),
        message,
        observed_generation: generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    };
    said.map(condition).into()
}

/// When the condition took this status, if it has it already.
fn changed(old: &[Condition], type_: &str, status: &str) -> Option<Timestamp> {
    let old = old.iter().find(|condition| condition.type_ == type_ && condition.status == status)?;
    Some(old.last_transition_time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let said = |a, b| [("A", (a, "R", String::new())), ("B", (b, "R", String::new()))];
        let first = conditions(said("True", "False"), &[], Some(1), at(5));
        assert_eq!(conditions(said("True", "False"), &first, Some(1), at(9)), first);
        let second = conditions(said("False", "False"), &first, Some(2), at(9));
        let times: Vec<_> = second.iter().map(|c| c.last_transition_time.0.as_second()).collect();
        assert_eq!(times, [9, 5]);
    }
}
