//! How events are evaluated and alerts written.

use std::sync::Arc;

use saker_events::{container::Lookup, host_names::HostNames, process::Living, users::Users};
use saker_rules::ruleset::Matching;

use crate::{hits::Hits, links::Links, process_table::DEFAULT_CAPACITY};

/// What an engine is told once.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether an event is reported by the first rule it matches or by all.
    pub matching: Matching,
    /// Name of the node.
    pub hostname: Arc<str>,
    /// Whether times are written as ISO 8601 in UTC; otherwise as local time of day.
    pub iso8601: bool,
    /// When the machine started, nanoseconds since the Unix epoch.
    pub boot_time: u64,
    /// Processes kept.
    pub max_processes: usize,
    /// Names of users and groups.
    pub users: Arc<Users>,
    /// Names of the ends of connections; without somebody who looks them up there are none.
    pub host_names: HostNames,
    /// Finds out about containers; without it events wait for nothing.
    pub containers: Option<Arc<dyn Lookup>>,
    /// Tells what no event does of processes that live; without it such fields are absent.
    pub living: Option<Arc<dyn Living>>,
    /// Looks where paths lead; without it calls that change names have only the view of their text.
    pub links: Option<Arc<dyn Links>>,
    /// Counts matches; share one among all engines.
    pub hits: Arc<Hits>,
}

impl Options {
    /// The defaults of a node of this name.
    pub fn new(hostname: impl Into<Arc<str>>) -> Self {
        Self {
            matching: Matching::default(),
            hostname: hostname.into(),
            iso8601: false,
            boot_time: 0,
            max_processes: DEFAULT_CAPACITY,
            users: Arc::default(),
            host_names: HostNames::default(),
            containers: None,
            living: None,
            links: None,
            hits: Arc::default(),
        }
    }
}

/// What alerts call this machine: `$FALCO_HOSTNAME`, or its name.
pub fn hostname() -> String {
    std::env::var("FALCO_HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()))
        .unwrap_or_else(|_| "localhost".to_owned())
}
