//! Audit events: every field is asked of what decodes, with and without arguments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_events::{
    audit::{Limits, decode},
    fields::rows,
    record::{AuditRecord, Header},
};
use saker_rules::schema::{FieldArg, FieldId, Record};

fuzz_target!(|body: &[u8]| {
    let args = ["0", "1", "name", "/user/groups/0"];
    let args = args.map(|text| FieldArg { text: text.into(), index: text.parse().ok() });
    for event in decode(body, &Limits::default()).events {
        let record = AuditRecord { header: Header { ts: event.time, ..Header::default() }, json: event.json };
        for (id, _) in (0..=u16::MAX).map(FieldId).zip(rows()) {
            let _plain = record.field(id, None);
            args.iter().for_each(|arg| drop(record.field(id, Some(arg))));
        }
    }
});
