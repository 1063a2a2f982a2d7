//! Keys of falco.yaml that do nothing here: accepted with a warning, or refused while in use.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, de::IgnoredAny};
use serde_json::Value;

/// A key that is accepted whatever its value; the description of its field says why it does nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored;

/// A key whose feature this version does not have: accepted only where it asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unavailable;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl<'de> Deserialize<'de> for Unavailable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if asks_for_nothing(&Value::deserialize(deserializer)?) {
            return Ok(Self);
        }
        Err(D::Error::custom(
            "this key of falco.yaml is known, but not available in this version of Saker: remove it or disable it",
        ))
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.get("enabled").map_or(map.is_empty(), |on| *on == Value::Bool(false)),
        _ => false,
    }
}

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl Serialize for Unavailable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl JsonSchema for Ignored {
    fn schema_name() -> Cow<'static, str> {
        "Ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

impl JsonSchema for Unavailable {
    fn schema_name() -> Cow<'static, str> {
        "Unavailable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_feature_may_be_off() {
        for value in
            [json!(null), json!(false), json!([]), json!(""), json!({}), json!({"enabled": false, "x": 1})]
        {
            assert!(serde_json::from_value::<Unavailable>(value.clone()).is_ok(), "{value}");
        }
        for value in
            [json!(true), json!([1]), json!("x"), json!(3), json!({"x": 1}), json!({"enabled": true})]
        {
            let error = serde_json::from_value::<Unavailable>(value.clone()).unwrap_err().to_string();
            assert!(error.contains("not available in this version"), "{value}: {error}");
        }
    }
}
