//! A small schema with a field of every kind, for tests that need no tables.

use saker_rules::{
    schema::{ArgKind, ArgRule, EventTypeSpec, FieldSpec, Quantifier, Schema, SourceSpec, field_flags},
    value::FieldType,
};

const SYSCALL: u8 = 1;
const K8S_AUDIT: u8 = 2;

/// Sources `syscall` and `k8s_audit`; event types with 60 codes each.
pub(crate) fn schema() -> Schema {
    let sources =
        vec![SourceSpec { name: "syscall", typed: true }, SourceSpec { name: "k8s_audit", typed: false }];
    let types = [("open", vec!["name", "flags"]), ("openat", vec!["name", "addr"]), ("close", vec![])]
        .map(|(name, parameters)| EventTypeSpec { name, codes: 60, parameters });
    let parameters = [("name", FieldType::FsPath), ("flags", FieldType::Uint32), ("addr", FieldType::Opaque)];
    Schema::new(fields(), sources, types.into()).with_parameter_types(parameters)
}

fn plain(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec {
        name,
        ty,
        list: false,
        arg: ArgRule::None,
        quantifier: Quantifier::One,
        flags: 0,
        sources: SYSCALL,
        description: "",
    }
}

/// The same on all events of a process until it changes.
fn of_process(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { flags: field_flags::OF_PROCESS, ..plain(name, ty) }
}

/// A text that nothing fills.
fn unfilled(name: &'static str) -> FieldSpec {
    let (arg, flags) = (ArgRule::Optional(ArgKind::Index), field_flags::UNAVAILABLE);
    FieldSpec { arg, flags, ..plain(name, FieldType::CharBuf) }
}

fn fields() -> Vec<FieldSpec> {
    let ancestors = field_flags::NO_RHS | field_flags::NO_TRANSFORMER;
    let fields = vec![
        FieldSpec { sources: SYSCALL | K8S_AUDIT, ..plain("evt.num", FieldType::Uint64) },
        FieldSpec { flags: field_flags::HIDDEN, ..plain("evt.hidden", FieldType::CharBuf) },
        plain("evt.type", FieldType::CharBuf),
        plain("evt.cpu", FieldType::Int16),
        plain("evt.buffer", FieldType::ByteBuf),
        plain("evt.is_io", FieldType::Bool),
        plain("evt.reltime", FieldType::RelTime),
        FieldSpec {
            arg: ArgRule::Required(ArgKind::Parameter),
            flags: field_flags::DOTTED_ARG,
            ..plain("evt.arg", FieldType::CharBuf)
        },
        FieldSpec {
            arg: ArgRule::Required(ArgKind::Parameter),
            flags: field_flags::DOTTED_ARG | field_flags::NO_TRANSFORMER,
            ..plain("evt.rawarg", FieldType::Dynamic)
        },
        FieldSpec {
            arg: ArgRule::Required(ArgKind::EventType),
            flags: field_flags::DOTTED_ARG,
            ..plain("evt.type.is", FieldType::Uint32)
        },
        FieldSpec {
            arg: ArgRule::Optional(ArgKind::Word(&["src", "dst"])),
            flags: field_flags::DOTTED_ARG,
            ..plain("evt.abspath", FieldType::CharBuf)
        },
        unfilled("proc.future"),
        of_process("proc.name", FieldType::CharBuf),
        of_process("proc.pname", FieldType::CharBuf),
        of_process("proc.args", FieldType::CharBuf),
        plain("proc.pid", FieldType::Int64),
        plain("proc.usage", FieldType::Double),
        FieldSpec {
            arg: ArgRule::Optional(ArgKind::Index),
            quantifier: Quantifier::Any,
            flags: ancestors | field_flags::OF_PROCESS,
            ..plain("proc.aname", FieldType::CharBuf)
        },
        FieldSpec { flags: field_flags::SUGGESTED, ..plain("container.id", FieldType::CharBuf) },
        FieldSpec { sources: K8S_AUDIT, ..plain("ka.verb", FieldType::CharBuf) },
    ];
    [fields, fd_fields()].concat()
}

/// Those of descriptors.
fn fd_fields() -> Vec<FieldSpec> {
    let endpoints = field_flags::NO_RHS | field_flags::NO_TRANSFORMER | field_flags::FILTER_ONLY;
    let ancestors = field_flags::NO_RHS | field_flags::NO_TRANSFORMER;
    vec![
        plain("fd.name", FieldType::CharBuf),
        plain("fd.dev", FieldType::Int32),
        plain("fd.sip", FieldType::IpAddr),
        plain("fd.sport", FieldType::Port),
        plain("fd.snet", FieldType::IpNet),
        FieldSpec {
            quantifier: Quantifier::Endpoints,
            flags: endpoints,
            ..plain("fd.ip", FieldType::IpAddr)
        },
        FieldSpec {
            quantifier: Quantifier::Endpoints,
            flags: endpoints,
            ..plain("fd.net", FieldType::IpNet)
        },
        FieldSpec {
            quantifier: Quantifier::Endpoints,
            flags: ancestors | field_flags::ONLY_COMPARED,
            ..plain("fd.sip.name", FieldType::CharBuf)
        },
        FieldSpec { list: true, ..plain("fd.types", FieldType::CharBuf) },
        FieldSpec { list: true, ..plain("fd.nums", FieldType::Uint64) },
    ]
}
