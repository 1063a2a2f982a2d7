//! Kubernetes audit events: reading them out of whatever carries them, and finding one's way in them.

mod decode;
mod json;

pub use decode::{AuditEvent, Decoded, Limits, Reason, Rejection, decode, decode_from};
pub use json::Json;

use crate::record::AuditRecord;

/// Time of an event, nanoseconds since the Unix epoch: when its stage was reached, or else when the request
/// came in.
pub fn event_time(event: &Json) -> Option<u64> {
    ["stageTimestamp", "requestReceivedTimestamp"]
        .iter()
        .find_map(|key| nanoseconds(event.get(key)?.as_str()?))
}

fn nanoseconds(rfc3339: &str) -> Option<u64> {
    let time: jiff::Timestamp = rfc3339.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

impl AuditRecord {
    /// What lies at a path of keys. Nothing does if the value is no audit event, that is, has no `auditID`.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Json> {
        self.json.get("auditID").and_then(|_| self.json.at(path))
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, event_time};

    fn time(event: &str) -> Option<u64> {
        event_time(&serde_json::from_str::<Json>(event).unwrap())
    }

    #[test]
    fn the_stage_tells_the_time() {
        let both = r#"{"stageTimestamp":"2018-10-25T13:58:49.736141Z","requestReceivedTimestamp":"2001-01-01T00:00:00Z"}"#;
        assert_eq!(time(both), Some(1_540_475_929_736_141_000));
        assert_eq!(time(r#"{"requestReceivedTimestamp":"1970-01-01T01:00:00.000000001+01:00"}"#), Some(1));
        assert_eq!(time(r#"{"stageTimestamp":"yesterday"}"#), None);
        assert_eq!(time(r#"{"stageTimestamp":"1969-12-31T23:59:59Z"}"#), None, "before the epoch");
        assert_eq!(time("[]"), None);
    }
}
