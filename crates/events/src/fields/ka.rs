//! `ka.*`: what a Kubernetes audit event says. The values, odd ones included, are those of Falco's k8saudit
//! plugin (specification §11); docs/audit.md lists where that surprises.

mod binding;
mod containers;
mod event;
mod pod;
mod read;
#[cfg(test)]
mod tests;

use saker_rules::value::FieldType;

use super::{AuditGetter, FieldRow, Getter, K8S_AUDIT, row};

/// The rows, by what they are about.
pub(super) const PARTS: &[&[FieldRow]] = &[
    event::ROWS,
    binding::ROWS,
    pod::ROWS,
    containers::CONTAINERS,
    containers::INIT_CONTAINERS,
    containers::EPHEMERAL_CONTAINERS,
];

/// A row with one text.
const fn text(name: &'static str, get: AuditGetter, description: &'static str) -> FieldRow {
    row(name, FieldType::CharBuf, K8S_AUDIT, Getter::Audit(get), description)
}
