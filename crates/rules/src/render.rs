//! Values as text and JSON (specification §5.2, §5.3).

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::value::{FieldType, Value};

/// A value as alerts print it. The name of the field decides on padding.
pub fn text(value: &Value<'_>, ty: FieldType, field: &str) -> String {
    let mut out = String::new();
    write_text(&mut out, value, ty, field);
    out
}

/// Appends a value as alerts print it.
pub fn write_text(out: &mut String, value: &Value<'_>, ty: FieldType, field: &str) {
    match value {
        Value::Text(text) => out.push_str(&String::from_utf8_lossy(text)),
        Value::Bytes(data) => out.push_str(&printable(data)),
        Value::List(values) => write_list(out, values, ty, field),
        Value::Int(_) | Value::Uint(_) if is_padded(ty, field) => {
            write_number(out, format_args!("{:09}", number_of(value)));
        }
        Value::Int(_) | Value::Uint(_) if is_hexadecimal(field) => {
            write_number(out, format_args!("{:X}", number_of(value)));
        }
        Value::Int(n) => write_number(out, format_args!("{n}")),
        Value::Uint(n) => write_number(out, format_args!("{n}")),
        Value::Double(d) => write_number(out, format_args!("{d:.1}")),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Ip(address) => write_number(out, format_args!("{address}")),
        Value::Net(address, bits) => write_number(out, format_args!("{address}/{bits}")),
    }
}

/// A value as it stands in `output_fields`. The name of the field decides on hexadecimal numbers.
pub fn json(value: &Value<'_>, ty: FieldType, field: &str) -> Json {
    match value {
        Value::Int(_) | Value::Uint(_) if is_hexadecimal(field) => text(value, ty, field).into(),
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(n) => (*n).into(),
        Value::Uint(n) => (*n).into(),
        Value::Double(d) => (*d).into(),
        Value::List(values) => values.iter().map(|v| json(v, ty, field)).collect(),
        other => Json::String(text(other, ty, field)),
    }
}

/// What an output shows of a value: of a field of [`crate::schema::Quantifier::Endpoints`] the first, if there is any.
pub fn shown<'v, 'a>(value: &'v Value<'a>, endpoints: bool) -> Option<&'v Value<'a>> {
    match value {
        Value::List(values) if endpoints => values.first(),
        value => Some(value),
    }
}

/// The bytes of a text, or the text of any other value, without padding.
pub(crate) fn raw_text(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Text(text) | Value::Bytes(text) => text.to_vec(),
        other => text(other, FieldType::CharBuf, "").into_bytes(),
    }
}

fn write_list(out: &mut String, values: &[Value<'_>], ty: FieldType, field: &str) {
    out.push('(');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_text(out, value, ty, field);
    }
    out.push(')');
}

/// Writing to a string cannot fail.
fn write_number(out: &mut String, number: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(number);
}

fn number_of(value: &Value<'_>) -> i128 {
    crate::ops::number(value).unwrap_or_default()
}

/// Nanoseconds of the event's own times have nine digits.
fn is_padded(ty: FieldType, field: &str) -> bool {
    let time = matches!(ty, FieldType::RelTime | FieldType::AbsTime) && field.starts_with("evt.");
    time && (field.rsplit('.').next() == Some("ns") || field == "evt.reltime" || field == "evt.deltatime")
}

/// The device number is the one field that is a number in conditions and hexadecimal in alerts.
fn is_hexadecimal(field: &str) -> bool {
    field == "fd.dev"
}

fn printable(data: &[u8]) -> String {
    data.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|b| char::from(*b)).collect()
}
