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

use super::{FieldRow, Getter, K8S_AUDIT, row};
use crate::fields::AuditGetter;

const PARTS: [&[FieldRow]; 6] = [
    event::ROWS,
    binding::ROWS,
    pod::ROWS,
    containers::CONTAINERS,
    containers::INIT_CONTAINERS,
    containers::EPHEMERAL_CONTAINERS,
];

pub(crate) const ROWS: &[FieldRow] = &concat::<{ count() }>();

/// A row with one text.
const fn text(name: &'static str, get: AuditGetter, description: &'static str) -> FieldRow {
    row(name, FieldType::CharBuf, K8S_AUDIT, Getter::Audit(get), description)
}

const fn count() -> usize {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
}

const fn concat<const N: usize>() -> [FieldRow; N] {
    let mut rows = [PARTS[0][0]; N];
    let (mut part, mut at, mut filled) = (0, 0, 0);
    while filled < N {
        if at == PARTS[part].len() {
            (part, at) = (part + 1, 0);
        } else {
            rows[filled] = PARTS[part][at];
            (at, filled) = (at + 1, filled + 1);
        }
    }
    rows
}
