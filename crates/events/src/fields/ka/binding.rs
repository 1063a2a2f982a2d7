//! `ka.req.binding.*`: the RoleBinding or ClusterRoleBinding sent.

use saker_rules::{schema::ArgKind, value::Value};

use super::{read, text};
use crate::{audit::Json, fields::FieldRow, record::AuditRecord};

pub(super) const ROWS: &[FieldRow] = &[
    text(
        "ka.req.binding.role",
        |r, _| read::text(r, &["requestObject", "roleRef", "name"]),
        "Role that the binding sent gives",
    ),
    text(
        "ka.req.binding.subjects",
        |r, _| read::texts(r, &["requestObject", "subjects"]),
        "Subjects that it gives the role to, each as JSON",
    )
    .list(),
    text("ka.req.binding.subjects.user_names", |r, _| names(r, "User"), "Users among those subjects").list(),
    text(
        "ka.req.binding.subjects.serviceaccount_names",
        |r, _| names(r, "ServiceAccount"),
        "Service accounts among those subjects",
    )
    .list(),
    text(
        "ka.req.binding.subjects.serviceaccount_ns_names",
        |r, _| namespaced(r),
        "Service accounts among those subjects, as namespace:name",
    )
    .list(),
    text("ka.req.binding.subjects.group_names", |r, _| names(r, "Group"), "Groups among those subjects")
        .list(),
    text(
        "ka.req.binding.subject.has_name",
        |r, _| r.at(&["auditID"]).map(|_| Value::text("true")),
        "Always true; use ka.req.binding.subjects instead",
    )
    .needs(ArgKind::Key),
];

fn subjects<'a>(record: &'a AuditRecord, kind: &str) -> Option<impl Iterator<Item = &'a Json>> {
    let subjects = record.at(&["requestObject", "subjects"])?.as_array()?;
    Some(subjects.iter().filter(move |subject| subject.get("kind").and_then(Json::as_str) == Some(kind)))
}

fn names<'a>(record: &'a AuditRecord, kind: &str) -> Option<Value<'a>> {
    read::list(subjects(record, kind)?.filter_map(|subject| subject.get("name")).map(Json::text))
}

fn namespaced(record: &AuditRecord) -> Option<Value<'_>> {
    let accounts = subjects(record, "ServiceAccount")?;
    read::list(accounts.filter_map(|account| {
        let part = |key| account.get(key).and_then(Json::as_str);
        Some(Value::owned(format!("{}:{}", part("namespace")?, part("name")?)))
    }))
}
