//! Records that are plain maps.

use saker_rules::{
    schema::{EventTypeId, FieldArg, FieldId, FieldSpec, Record, Schema},
    value::{FieldType, Value},
};
use serde_json::Value as Json;

/// An event given as a map from fields as written to values, or as a JSON document for `jevt.value`.
pub(crate) struct MapRecord<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) values: &'a Json,
}

impl Record for MapRecord<'_> {
    fn event_type(&self) -> EventTypeId {
        EventTypeId(0)
    }

    fn field<'a>(&'a self, field: FieldId, arg: Option<&FieldArg>) -> Option<Value<'a>> {
        let FieldSpec { name, ty, .. } = self.schema.field(field)?;
        let value = match arg {
            None => self.values.get(name),
            Some(arg) => {
                let bracket = self.values.get(format!("{name}[{}]", arg.text));
                let dotted = || self.values.get(format!("{name}.{}", arg.text));
                let pointer = || self.values.pointer(&arg.text).filter(|_| *name == "jevt.value");
                bracket.or_else(dotted).or_else(pointer)
            }
        };
        match value? {
            // The one number that alerts write in hexadecimal.
            Json::String(text) if *name == "fd.dev" => i64::from_str_radix(text, 16).ok().map(Value::Int),
            other => to_value(other, *ty),
        }
    }
}

fn to_value(json: &Json, ty: FieldType) -> Option<Value<'_>> {
    match json {
        Json::Null | Json::Object(_) => None,
        Json::Bool(b) => Some(Value::Bool(*b)),
        Json::Number(n) if ty == FieldType::Double => n.as_f64().map(Value::Double),
        Json::Number(n) => n.as_u64().map(Value::Uint).or_else(|| n.as_i64().map(Value::Int)),
        Json::String(text) if ty == FieldType::ByteBuf => Some(Value::Bytes(text.as_bytes().into())),
        Json::String(text) if matches!(ty, FieldType::IpAddr | FieldType::IpNet) => {
            text.parse().ok().map(Value::Ip)
        }
        Json::String(text) => Some(Value::text(text)),
        Json::Array(items) => Some(Value::List(items.iter().filter_map(|i| to_value(i, ty)).collect())),
    }
}
