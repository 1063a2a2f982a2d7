//! docs/fields.md is written from the field table: `UPDATE_EXPECT=1 cargo test -p saker-events` rewrites it.

use std::{env, fmt::Write, fs};

use saker_events::fields::{self, K8S_AUDIT, SYSCALL};
use saker_rules::{
    schema::{ArgKind, ArgRule, FieldSpec, field_flags},
    value::FieldType,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fields.md");
const HEAD: &str = "# Fields

What conditions and outputs may name. This page is written from the field table by a test; do not edit it.

*Form* is how the field is written: `[N]` is a number, `[name]` a text; a bracket that may be left out is shown
as `[N]?`. A field that is *not filled yet* is accepted, but rules that need it are reported blind.

";

fn form(spec: &FieldSpec) -> String {
    let kind = |kind| match kind {
        ArgKind::Index => "[N]",
        ArgKind::Key => "[name]",
        ArgKind::IndexOrKey | ArgKind::Parameter | ArgKind::EventType => "[N or name]",
        ArgKind::Word(_) => "(.src or .dst)",
    };
    match spec.arg {
        ArgRule::None => format!("`{}`", spec.name),
        ArgRule::Required(k) => format!("`{}{}`", spec.name, kind(k)),
        ArgRule::Optional(k) => format!("`{}{}?`", spec.name, kind(k)),
    }
}

fn type_name(spec: &FieldSpec) -> String {
    let name = match spec.ty {
        FieldType::CharBuf | FieldType::FsPath => "text",
        FieldType::ByteBuf => "bytes",
        FieldType::Bool => "true/false",
        FieldType::Double => "fraction",
        FieldType::RelTime => "duration, ns",
        FieldType::AbsTime => "time, ns",
        FieldType::Port => "port",
        FieldType::IpAddr => "IP address",
        FieldType::IpNet => "IP network",
        FieldType::Dynamic => "as the argument",
        _ => "number",
    };
    if spec.list { format!("list of {name}s") } else { name.to_owned() }
}

fn notes(spec: &FieldSpec) -> String {
    let notes = [
        (field_flags::DEPRECATED, "deprecated"),
        (field_flags::FILTER_ONLY, "in conditions only"),
        (field_flags::UNAVAILABLE, "not filled yet"),
        (field_flags::ONLY_COMPARED, "by `=`, `!=`, `in` and `intersects` with given names"),
    ];
    let held: Vec<_> = notes.into_iter().filter(|(flag, _)| spec.has(*flag)).map(|(_, note)| note).collect();
    held.join(", ")
}

fn section(out: &mut String, title: &str, mask: u8) {
    writeln!(out, "## {title}\n\n| form | type | meaning | notes |\n|---|---|---|---|").expect("a string");
    let shown = fields::rows().iter().map(|r| r.spec);
    for spec in shown.filter(|s| s.sources == mask && !s.has(field_flags::HIDDEN)) {
        let cells = [form(&spec), type_name(&spec), spec.description.replace('|', "\\|"), notes(&spec)];
        writeln!(out, "| {} |", cells.join(" | ")).expect("a string");
    }
    out.push('\n');
}

#[test]
fn the_page_is_the_table() {
    let mut page = HEAD.to_owned();
    section(&mut page, "Every source", SYSCALL | K8S_AUDIT);
    section(&mut page, "Source `syscall`", SYSCALL);
    section(&mut page, "Source `k8s_audit`", K8S_AUDIT);
    let page = format!("{}\n", page.trim_end());
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).expect("the folder");
        fs::write(PATH, &page).expect("docs/fields.md");
    }
    let written = fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page, "docs/fields.md is stale: run UPDATE_EXPECT=1 cargo test -p saker-events");
}
