//! `ka.*`: what a Kubernetes audit event says. The values, odd ones included, are those of Falco's k8saudit
//! plugin (specification §11); docs/audit.md lists where that surprises.

pub(super) mod binding;
pub(super) mod containers;
pub(super) mod event;
pub(super) mod pod;
mod read;
#[cfg(test)]
mod tests;

use saker_rules::value::FieldType;

use super::{AuditGetter, FieldRow, Getter, K8S_AUDIT, row};

/// A row with one text.
const fn text(name: &'static str, get: AuditGetter, description: &'static str) -> FieldRow {
    row(name, FieldType::CharBuf, K8S_AUDIT, Getter::Audit(get), description)
}
