//! Bytes of an event: every field is asked of what decodes, with and without arguments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_events::{
    Event,
    fields::rows,
    process::{Process, Processes},
    record::{Header, SyscallRecord},
    users::Users,
};
use saker_rules::schema::{FieldArg, FieldId, Record};

#[derive(Debug)]
struct NoProcesses;

impl Processes for NoProcesses {
    fn at(&self, _pid: u32, _time: u64) -> Option<&Process> {
        None
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = Event::parse(bytes) else { return };
    let (header, users) = (Header::default(), Users::parse("", ""));
    let Some(record) = SyscallRecord::new(&header, event, None, &NoProcesses, &users) else { return };
    let views = [Some(record.clone()), record.second_view().map(|(view, _)| view)];
    let args = ["0", "1", "fd", "flags"].map(|text| FieldArg { text: text.into(), index: text.parse().ok() });
    for view in views.iter().flatten() {
        let _type = view.event_type();
        for (id, _) in (0..=u16::MAX).map(FieldId).zip(rows()) {
            let _plain = view.field(id, None);
            args.iter().for_each(|arg| drop(view.field(id, Some(arg))));
        }
    }
});
