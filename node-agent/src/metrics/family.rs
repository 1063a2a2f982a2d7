//! Families of metrics.

use prometheus::proto::MetricType;

/// Name, help, type of a family.
pub type Spec = (&'static str, &'static str, MetricType);

/// Numbers that only their source knows, by family and labels.
pub type Extra = Vec<(Spec, Vec<(String, String)>, u64)>;
