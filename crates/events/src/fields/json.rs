//! `json.*` and their older names `jevt.*`: any part of an event that is JSON.

use saker_rules::{
    schema::{ArgKind, FieldArg},
    value::{FieldType, Value},
};

use super::{AuditGetter, FieldRow, Getter, K8S_AUDIT, row};
use crate::{audit::Json, record::AuditRecord};

pub(crate) const ROWS: &[FieldRow] = &[
    text("json.value", value, "What a JSON pointer finds in the event, such as json.value[/user/username]")
        .needs(ArgKind::Key),
    text("json.obj", object, "The whole event as indented JSON"),
    text("json.rawtime", raw_time, "Time of the event in nanoseconds, as evt.rawtime"),
    text("jevt.value", value, "Older name of json.value").needs(ArgKind::Key),
    text("jevt.obj", object, "Older name of json.obj"),
    text("jevt.rawtime", raw_time, "Older name of json.rawtime"),
];

const fn text(name: &'static str, get: AuditGetter, description: &'static str) -> FieldRow {
    row(name, FieldType::CharBuf, K8S_AUDIT, Getter::Audit(get), description)
}

fn value<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    record.json.pointer(&arg?.text).map(Json::text)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a getter")]
fn object<'a>(record: &'a AuditRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    Some(Value::owned(format!("{:#}", record.json)))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a getter")]
fn raw_time<'a>(record: &'a AuditRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    Some(Value::owned(record.header.ts.to_string()))
}
