//! The field table: one row per field, in a file per class (`fields/proc.rs` holds `proc.*`).
//!
//! A row is what users see (name, type, argument, description) and where the value comes from.

mod container;
mod evt;
mod evt_syscall;
mod fd;
mod fdlist;
mod fs_path;
mod group;
mod json;
mod k8s;
mod k8smeta;
mod ka;
mod prelude;
mod proc;
mod thread;
mod user;
mod util;

use std::sync::OnceLock;

use saker_rules::{
    schema::{
        ArgKind, ArgRule, EventTypeId, FieldArg, FieldId, FieldSpec, ProcessState, Quantifier, Record,
        SourceMask, field_flags,
    },
    value::{FieldType, Value},
};

use crate::{
    record::{AuditRecord, Header, SyscallRecord},
    table,
};

/// The tables of all classes, in the order in which fields are listed.
const CLASSES: &[&[FieldRow]] = &[
    evt::ROWS,
    evt_syscall::ROWS,
    proc::ROWS,
    thread::ROWS,
    user::ROWS,
    group::ROWS,
    fd::ROWS,
    fs_path::ROWS,
    fdlist::ROWS,
    util::ROWS,
    container::ROWS,
    k8s::ROWS,
    k8smeta::ROWS,
    json::ROWS,
];

/// Every field; a [`FieldId`] is a position here.
pub fn rows() -> &'static [FieldRow] {
    static ROWS: OnceLock<Vec<FieldRow>> = OnceLock::new();
    ROWS.get_or_init(|| [CLASSES, ka::PARTS].concat().concat())
}

/// The row of a field.
pub fn by_id(id: FieldId) -> Option<&'static FieldRow> {
    rows().get(usize::from(id.0))
}

/// Whether a container runtime must answer for the field to have a value.
pub fn is_metadata(id: FieldId) -> bool {
    by_id(id).is_some_and(|row| matches!(row.get, Getter::Metadata(_)))
}

/// Whether somebody must look names up for the field to have a value.
pub fn is_host_name(id: FieldId) -> bool {
    by_id(id).is_some_and(|row| matches!(row.get, Getter::HostName(_)))
}

/// Fields of a syscall event that tell nothing of the paths it names.
const WITHOUT_PATHS: [&str; 9] = [
    "evt.type",
    "evt.type.is",
    "syscall.type",
    "evt.category",
    "evt.cpu",
    "evt.dir",
    "evt.res",
    "evt.rawres",
    "evt.failed",
];

/// Whether the field's value may depend on the paths that a syscall event names.
pub fn may_tell_path(id: FieldId) -> bool {
    by_id(id)
        .is_some_and(|row| matches!(row.get, Getter::Syscall(_)) && !WITHOUT_PATHS.contains(&row.spec.name))
}

/// Fields beside `fd.*` that show what a descriptor stands for.
const SHOW_DESCRIPTORS: [&str; 4] = ["evt.arg", "evt.args", "evt.category", "evt.info"];
/// Fields of these that tell its number alone.
const SHOW_NUMBERS: [&str; 3] = ["fd.num", "fd.uid", "fd.types"];

/// Whether the field's value depends on what the event's descriptor stands for.
pub fn tells_descriptor(id: FieldId) -> bool {
    by_id(id).is_some_and(|FieldRow { spec, .. }| {
        (spec.name.starts_with("fd.") && !SHOW_NUMBERS.contains(&spec.name))
            || SHOW_DESCRIPTORS.contains(&spec.name)
    })
}

/// Bit of the source `syscall` in a row's sources.
pub const SYSCALL: SourceMask = 1;
/// Bit of the source `k8s_audit`.
pub const K8S_AUDIT: SourceMask = 2;

/// Takes a field's value out of an audit event.
pub type AuditGetter = for<'a> fn(&'a AuditRecord, Option<&FieldArg>) -> Option<Value<'a>>;

/// Takes a field's value out of a syscall event and what is known around it.
pub type SyscallGetter = for<'a> fn(&'a SyscallRecord<'_>, Option<&FieldArg>) -> Option<Value<'a>>;

/// Where a field's value comes from.
#[derive(Clone, Copy)]
pub enum Getter {
    /// From what every event has.
    Header(for<'a> fn(&'a Header, Option<&FieldArg>) -> Option<Value<'a>>),
    /// From a syscall event and the process that made it.
    Syscall(SyscallGetter),
    /// From the process that made a syscall event, its parents and its user, whatever the event is.
    Process(SyscallGetter),
    /// From the runtime of the container that the process is in.
    Metadata(SyscallGetter),
    /// From what was found out of the names that rules compare with.
    HostName(SyscallGetter),
    /// From a Kubernetes audit event.
    Audit(AuditGetter),
    /// From nowhere yet; rules that need it are reported blind.
    Unavailable,
}

/// One row.
#[derive(Clone, Copy)]
pub struct FieldRow {
    /// What the rule language knows of it.
    pub spec: FieldSpec,
    /// Where the value comes from.
    pub get: Getter,
}

/// A row with the common defaults: no argument, one value, no flags.
pub const fn row(
    name: &'static str,
    ty: FieldType,
    sources: SourceMask,
    get: Getter,
    description: &'static str,
) -> FieldRow {
    let flags = match get {
        Getter::Unavailable => field_flags::UNAVAILABLE,
        // The runtime's answer may be on its way, and then the event waits for it.
        Getter::Metadata(_) => field_flags::COSTLY,
        Getter::HostName(_) => field_flags::COSTLY | field_flags::ONLY_COMPARED,
        Getter::Process(_) => field_flags::OF_PROCESS,
        _ => 0,
    };
    let spec = FieldSpec {
        name,
        ty,
        list: false,
        arg: ArgRule::None,
        quantifier: Quantifier::One,
        flags,
        sources,
        description,
    };
    FieldRow { spec, get }
}

impl FieldRow {
    /// Takes an argument that must be given.
    #[must_use]
    pub const fn needs(mut self, kind: ArgKind) -> Self {
        self.spec.arg = ArgRule::Required(kind);
        self
    }

    /// Takes an argument that may be given.
    #[must_use]
    pub const fn takes(mut self, kind: ArgKind) -> Self {
        self.spec.arg = ArgRule::Optional(kind);
        self
    }

    /// Holds a list.
    #[must_use]
    pub const fn list(mut self) -> Self {
        self.spec.list = true;
        self
    }

    /// Adds [`field_flags`].
    #[must_use]
    pub const fn flags(mut self, flags: u16) -> Self {
        self.spec.flags |= flags;
        self
    }

    /// Compares several values.
    #[must_use]
    pub const fn quantifier(mut self, quantifier: Quantifier) -> Self {
        self.spec.quantifier = quantifier;
        self
    }
}

impl Record for SyscallRecord<'_> {
    fn event_type(&self) -> EventTypeId {
        table::event_type(&self.event)
    }

    fn field<'a>(&'a self, field: FieldId, arg: Option<&FieldArg>) -> Option<Value<'a>> {
        match by_id(field)?.get {
            Getter::Header(get) => get(self.header, arg),
            Getter::Syscall(get) | Getter::Process(get) | Getter::Metadata(get) | Getter::HostName(get) => {
                get(self, arg)
            }
            Getter::Audit(_) | Getter::Unavailable => None,
        }
    }

    fn process_state(&self) -> Option<ProcessState> {
        self.processes.state(self.process()?)
    }
}

impl Record for AuditRecord {
    /// Audit events are of one type.
    fn event_type(&self) -> EventTypeId {
        EventTypeId(0)
    }

    fn field<'a>(&'a self, field: FieldId, arg: Option<&FieldArg>) -> Option<Value<'a>> {
        match by_id(field)?.get {
            Getter::Header(get) => get(&self.header, arg),
            Getter::Audit(get) => get(self, arg),
            Getter::Syscall(_)
            | Getter::Process(_)
            | Getter::Metadata(_)
            | Getter::HostName(_)
            | Getter::Unavailable => None,
        }
    }
}
