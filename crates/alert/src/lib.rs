//! The alert: what Saker tells people, in Falco's text and JSON shape.
//!
//! Specification: rule-engine.md §5.2 (text) and §5.3 (JSON).

mod priority;
mod render;

pub use priority::{Priority, UnknownPriority};
pub use render::{Format, Renderer};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One alert, complete: every output renders from this and from nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Event time, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Name of the rule that matched.
    pub rule: String,
    /// The rule's priority.
    pub priority: Priority,
    /// Event source: `syscall`, `k8s_audit` or `internal`.
    pub source: String,
    /// The rendered output, without time and priority.
    pub message: String,
    /// Every field of the output with its raw value; absent fields are `null`.
    pub output_fields: Map<String, Value>,
    /// The rule's tags, sorted.
    pub tags: Vec<String>,
    /// Name of the node.
    pub hostname: String,
}
