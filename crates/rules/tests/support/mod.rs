//! A schema read from the field and event tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use saker_rules::{
    schema::{ArgKind, ArgRule, EventTypeSpec, FieldSpec, Quantifier, Schema, SourceSpec, field_flags},
    value::FieldType,
};

const SYSCALL: u8 = 1;
const K8S_AUDIT: u8 = 2;

/// The schema of the tables in a directory (`fields.tsv`, `events.tsv`, `syscalls.tsv`).
pub(crate) fn schema(tables: &Path) -> Schema {
    let fields = rows(&tables.join("fields.tsv"), "class").iter().map(|row| field(row)).collect();
    let sources =
        vec![SourceSpec { name: "syscall", typed: true }, SourceSpec { name: "k8s_audit", typed: false }];
    Schema::new(fields, sources, event_types(tables))
}

fn rows(path: &Path, first_heading: &str) -> Vec<Vec<&'static str>> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text: &'static str = text.leak();
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.starts_with(first_heading));
    lines.map(|l| l.split('\t').collect()).collect()
}

fn event_types(tables: &Path) -> Vec<EventTypeSpec> {
    let mut codes: BTreeMap<&'static str, u16> = BTreeMap::new();
    for row in rows(&tables.join("events.tsv"), "id\t") {
        if !matches!(row[4], "unused" | "na") {
            *codes.entry(row[1]).or_default() += 1;
        }
    }
    let syscalls: BTreeSet<_> = rows(&tables.join("syscalls.tsv"), "id").iter().flatten().copied().collect();
    for name in syscalls
        .into_iter()
        .filter(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()))
    {
        codes.entry(name).or_insert(2);
    }
    codes.into_iter().map(|(name, codes)| EventTypeSpec { name, codes, parameters: Vec::new() }).collect()
}

fn field(row: &[&'static str]) -> FieldSpec {
    let (class, name, ty, arg, flags) = (row[0], row[1], row[2], row[3], row[13]);
    let list = ty.starts_with("LIST(");
    let ancestors = matches!(
        name,
        "proc.aname"
            | "proc.aexe"
            | "proc.aexepath"
            | "proc.acmdline"
            | "proc.apid"
            | "proc.aenv"
            | "proc.aargs"
    );
    let quantifier = match name {
        "fd.ip" | "fd.port" | "fd.net" | "fd.proto" => Quantifier::Endpoints,
        _ if ancestors => Quantifier::Any,
        _ => Quantifier::One,
    };
    let sources = match class.split_whitespace().next() {
        Some("ka" | "json/jevt") => K8S_AUDIT,
        Some("evt") if class.contains("generic") => SYSCALL | K8S_AUDIT,
        _ => SYSCALL,
    };
    FieldSpec {
        name,
        ty: field_type(ty.trim_start_matches("LIST(").trim_end_matches(')')),
        list,
        arg: arg_rule(name, arg),
        quantifier,
        flags: field_flags(name, flags),
        sources,
        description: row[14],
    }
}

fn arg_rule(name: &str, text: &str) -> ArgRule {
    let kind = if text.contains("[N]") { ArgKind::Index } else { ArgKind::IndexOrKey };
    match text.split(':').next() {
        _ if name == "evt.abspath" => ArgRule::Optional(ArgKind::Word(&["src", "dst"])),
        Some("required") => ArgRule::Required(kind),
        Some("optional") => ArgRule::Optional(kind),
        _ => ArgRule::None,
    }
}

fn field_flags(name: &str, text: &str) -> u16 {
    let table = [
        ("EPF_FILTER_ONLY", field_flags::FILTER_ONLY),
        ("EPF_NO_RHS", field_flags::NO_RHS),
        ("EPF_NO_TRANSFORMER", field_flags::NO_TRANSFORMER),
        ("EPF_DEPRECATED", field_flags::DEPRECATED),
        ("EPF_TABLE_ONLY", field_flags::HIDDEN),
    ];
    let dotted = matches!(name, "evt.arg" | "evt.rawarg" | "evt.type.is" | "evt.abspath" | "thread.cgroup");
    let flags = table.iter().filter(|(word, _)| text.contains(word)).fold(0, |all, (_, flag)| all | flag);
    if dotted { flags | field_flags::DOTTED_ARG } else { flags }
}

fn field_type(name: &str) -> FieldType {
    match name {
        "INT16" => FieldType::Int16,
        "INT32" => FieldType::Int32,
        "INT64" => FieldType::Int64,
        "UINT32" => FieldType::Uint32,
        "UINT64" => FieldType::Uint64,
        "BOOL" => FieldType::Bool,
        "DOUBLE" => FieldType::Double,
        "RELTIME" => FieldType::RelTime,
        "ABSTIME" => FieldType::AbsTime,
        "PORT" => FieldType::Port,
        "IPADDR" => FieldType::IpAddr,
        "IPNET" => FieldType::IpNet,
        "BYTEBUF" => FieldType::ByteBuf,
        "DYN" => FieldType::Dynamic,
        "CHARBUF" => FieldType::CharBuf,
        other => panic!("unknown type {other}"),
    }
}
