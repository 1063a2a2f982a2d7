//! A JSON value whose objects keep their keys in the order of the text, as Falco prints them back.

use std::{cell::Cell, fmt};

use saker_rules::value::Value;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

/// A JSON value. Audit objects are small, so that looking a key up means comparing with each.
#[derive(Debug, Clone, PartialEq, Hash)]
#[allow(missing_docs, reason = "JSON's own kinds")]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(Box<str>),
    Array(Vec<Json>),
    /// Keys as they come; of two alike the first is found.
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// The member of an object, or the element of an array if `key` is its index.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| **name == *key).map(|(_, value)| value),
            Json::Array(elements) => elements.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// What lies at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// What a JSON pointer (RFC 6901) points at; its leading slash may be left out.
    pub fn pointer(&self, pointer: &str) -> Option<&Json> {
        if pointer.is_empty() {
            return Some(self);
        }
        let keys = pointer.strip_prefix('/').unwrap_or(pointer).split('/');
        keys.into_iter().try_fold(self, |value, key| {
            if key.contains('~') {
                value.get(&key.replace("~1", "/").replace("~0", "~"))
            } else {
                value.get(key)
            }
        })
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        if let Json::Array(elements) = self { Some(elements) } else { None }
    }

    /// As the value of a field: strings as they are, everything else as compact JSON.
    pub fn text(&self) -> Value<'_> {
        match self {
            Json::String(text) => Value::text(&**text),
            Json::Null => Value::text("null"),
            Json::Bool(true) => Value::text("true"),
            Json::Bool(false) => Value::text("false"),
            Json::Number(_) | Json::Array(_) | Json::Object(_) => Value::owned(self.to_string()),
        }
    }

    /// How many values lie inside one another; 1 for one that holds no other.
    pub fn depth(&self) -> usize {
        let inside = match self {
            Json::Array(elements) => elements.iter().map(Json::depth).max(),
            Json::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
            _ => None,
        };
        inside.unwrap_or(0).saturating_add(1)
    }
}

/// Compact JSON; `{:#}` indents by two blanks.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            if f.alternate() { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(value) => value.serialize(serializer),
            Json::String(value) => serializer.serialize_str(value),
            Json::Array(elements) => serializer.collect_seq(elements),
            Json::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bounded { left: &Cell::new(usize::MAX) }.deserialize(deserializer)
    }
}

/// Reads a value as long as values are left: each takes many times the memory of its text.
#[derive(Clone, Copy)]
pub(super) struct Bounded<'b> {
    /// Values that may still come; 0 once there were too many.
    pub(super) left: &'b Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key()? {
            members.push((key, map.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    const TEXT: &str = r#"{"b":[1,-2,2.5,"x\n\"",null,true,[]],"a/b":{"~":{}},"b":"again"}"#;

    fn json(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn text_comes_back_as_it_went_in() {
        assert_eq!(json(TEXT).to_string(), TEXT);
        assert_eq!(
            format!("{:#}", json(r#"{"z":[],"a":{"b":1}}"#)),
            "{\n  \"z\": [],\n  \"a\": {\n    \"b\": 1\n  }\n}"
        );
    }

    #[test]
    fn pointers_find_members_and_elements() {
        let value = json(TEXT);
        let found = |pointer| value.pointer(pointer).map(Json::to_string);
        assert_eq!(found("/b/0").as_deref(), Some("1"), "the first of two equal keys");
        assert_eq!(found("b/3").as_deref(), Some(r#""x\n\"""#));
        assert_eq!(found("/a~1b/~0").as_deref(), Some("{}"));
        assert_eq!(found("").as_deref(), Some(TEXT));
        assert_eq!((found("/b/7"), found("/b/0/0"), found("/")), (None, None, None));
    }

    #[test]
    fn depth_counts_the_values_inside_one_another() {
        assert_eq!((json("1").depth(), json("[]").depth(), json(r#"{"a":[[1],2]}"#).depth()), (1, 1, 4));
    }
}
