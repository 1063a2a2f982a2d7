//! Records: events in the form that compiled rules read, with what is known around them.

/// What every event has, whatever its source.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Counts from 1.
    pub num: u64,
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// `syscall` or `k8s_audit`.
    pub source: &'static str,
    /// The node's name.
    pub hostname: std::sync::Arc<str>,
    /// Time of the first event of this run or file, nanoseconds since the epoch.
    pub first_ts: u64,
    /// Time of the event before, nanoseconds since the epoch; 0 for the first.
    pub previous_ts: u64,
}

/// A syscall event with the state around it.
#[derive(Debug)]
pub struct SyscallRecord<'a> {
    /// What every event has.
    pub header: Header,
    /// The event itself.
    pub event: crate::Event<'a>,
}

/// A Kubernetes audit event.
#[derive(Debug)]
pub struct AuditRecord {
    /// What every event has.
    pub header: Header,
    /// The whole event as JSON.
    pub json: crate::audit::Json,
}
