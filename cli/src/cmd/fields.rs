//! `saker fields`: what conditions and outputs may mention.

use std::io::Write;

use clap::builder::PossibleValuesParser;
use saker_rules::schema::{ArgRule, FieldSpec, Schema, field_flags};
use serde_json::{Value, json};

use crate::{Verdict, table};

/// List the fields that rules may use, with type, argument and description
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Only the fields of this event source
    #[arg(value_parser = PossibleValuesParser::new(sources()))]
    source: Option<String>,
}

fn sources() -> Vec<&'static str> {
    saker_events::schema().sources().iter().map(|source| source.name).collect()
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let schema = saker_events::schema();
        let fields = schema.fields().iter().filter(|field| self.lists(&schema, field));
        if self.json {
            let list: Value = fields.map(|field| describe(&schema, field)).collect();
            writeln!(out, "{list:#}")?;
        } else {
            let rows: Vec<_> = fields.map(row).collect();
            table::write(out, &rows)?;
        }
        Ok(Verdict::Good)
    }

    fn lists(&self, schema: &Schema, field: &FieldSpec) -> bool {
        let wanted = |name: &&str| self.source.as_deref().is_none_or(|source| source == *name);
        !field.has(field_flags::HIDDEN) && sources_of(schema, field).iter().any(wanted)
    }
}

fn sources_of(schema: &Schema, field: &FieldSpec) -> Vec<&'static str> {
    let bits = (0..u32::BITS).map(|bit| u32::from(field.sources) >> bit & 1 == 1);
    schema.sources().iter().zip(bits).filter(|(_, offered)| *offered).map(|(s, _)| s.name).collect()
}

fn row(field: &FieldSpec) -> [String; 3] {
    let argument = match field.arg {
        ArgRule::None => "",
        ArgRule::Optional(_) => "[…]?",
        ArgRule::Required(_) => "[…]",
    };
    let missing = if available(field) { "" } else { "(not available from any source yet) " };
    [format!("{}{argument}", field.name), type_name(field), format!("{missing}{}", field.description)]
}

fn describe(schema: &Schema, field: &FieldSpec) -> Value {
    let argument = match field.arg {
        ArgRule::None => "none",
        ArgRule::Optional(_) => "optional",
        ArgRule::Required(_) => "required",
    };
    json!({
        "name": field.name,
        "type": type_name(field),
        "argument": argument,
        "sources": sources_of(schema, field),
        "deprecated": field.has(field_flags::DEPRECATED),
        "available": available(field),
        "description": field.description,
    })
}

fn available(field: &FieldSpec) -> bool {
    !field.has(field_flags::UNAVAILABLE)
}

fn type_name(field: &FieldSpec) -> String {
    let name = format!("{:?}", field.ty).to_uppercase();
    if field.list { format!("LIST({name})") } else { name }
}
