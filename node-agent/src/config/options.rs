//! `-o key=value`: a dot path with `[i]` and `[]`, and a value in YAML (specification §9).

use serde_json::{Map, Value};

/// Items that `[i]` may address; a slip of the finger must not fill the memory.
const MAX_INDEX: usize = 1000;

/// An option that cannot be applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no `=`, or nothing before it.
    #[error("write it as key=value, for example -o http_output.enabled=true")]
    NoValue,
    /// Neither `name`, `name[]` nor `name[0]`.
    #[error("'{0}' is no part of a key: write name, name[0] or name[]")]
    BadPart(String),
    /// The path goes through something that is no mapping or list.
    #[error("'{0}' is set to something that has no parts")]
    NotAContainer(String),
    /// The value is no YAML.
    #[error("'{0}' is no YAML value")]
    BadValue(String),
}

/// Applies one option to a configuration.
pub fn apply(config: &mut Value, option: &str) -> Result<(), OptionError> {
    let (key, value) = option.split_once('=').ok_or(OptionError::NoValue)?;
    if key.is_empty() {
        return Err(OptionError::NoValue);
    }
    let mut place = config;
    for part in key.split('.') {
        place = descend(place, part)?;
    }
    *place = parse(value)?;
    Ok(())
}

/// The value as YAML has it; what is no number, list and so on is text.
fn parse(value: &str) -> Result<Value, OptionError> {
    if value.is_empty() {
        return Ok(Value::String(String::new()));
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(value, options).map_err(|_| OptionError::BadValue(value.to_owned()))
}

/// One part of the path: a name, then any number of `[i]` and `[]`.
fn descend<'a>(place: &'a mut Value, part: &str) -> Result<&'a mut Value, OptionError> {
    let bad = || OptionError::BadPart(part.to_owned());
    let (name, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
    if name.is_empty() {
        return Err(bad());
    }
    let mut place = member(place, name)?;
    while !indexes.is_empty() {
        let (index, rest) = indexes.strip_prefix('[').and_then(|r| r.split_once(']')).ok_or_else(bad)?;
        let index = if index.is_empty() { None } else { Some(index.parse().map_err(|_| bad())?) };
        place = item(place, index, name)?;
        indexes = rest;
    }
    Ok(place)
}

fn member<'a>(place: &'a mut Value, name: &str) -> Result<&'a mut Value, OptionError> {
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(map) => Ok(map.entry(name).or_insert(Value::Null)),
        _ => Err(OptionError::NotAContainer(name.to_owned())),
    }
}

/// The item of this index, or a new one at the end.
fn item<'a>(place: &'a mut Value, index: Option<usize>, name: &str) -> Result<&'a mut Value, OptionError> {
    if place.is_null() {
        *place = Value::Array(Vec::new());
    }
    let Value::Array(list) = place else { return Err(OptionError::NotAContainer(name.to_owned())) };
    let index = index.unwrap_or(list.len());
    if index >= list.len() && index < MAX_INDEX {
        list.resize(index.saturating_add(1), Value::Null);
    }
    list.get_mut(index).ok_or_else(|| OptionError::BadPart(format!("{name}[{index}]")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(option: &str) -> Result<Value, OptionError> {
        let mut config = json!({"a": {"b": 1}, "list": ["x"]});
        apply(&mut config, option).map(|()| config)
    }

    #[test]
    fn options_change_the_configuration() {
        let cases = [
            ("a.b=true", json!({"a": {"b": true}, "list": ["x"]})),
            ("a.c=x: 1", json!({"a": {"b": 1, "c": {"x": 1}}, "list": ["x"]})),
            ("a.b=", json!({"a": {"b": ""}, "list": ["x"]})),
            ("a.b=k=v", json!({"a": {"b": "k=v"}, "list": ["x"]})),
            ("list[]=y", json!({"a": {"b": 1}, "list": ["x", "y"]})),
            ("list[0]=y", json!({"a": {"b": 1}, "list": ["y"]})),
            ("list[1].k=[1, 2]", json!({"a": {"b": 1}, "list": ["x", {"k": [1, 2]}]})),
            ("new.n[].m=v", json!({"a": {"b": 1}, "list": ["x"], "new": {"n": [{"m": "v"}]}})),
        ];
        for (option, expected) in cases {
            assert_eq!(check(option), Ok(expected), "{option}");
        }
    }

    #[test]
    fn bad_options_say_why() {
        let cases = [
            ("a.b", OptionError::NoValue),
            ("=1", OptionError::NoValue),
            ("a..b=1", OptionError::BadPart(String::new())),
            ("list[x]=1", OptionError::BadPart("list[x]".to_owned())),
            ("list[0=1", OptionError::BadPart("list[0".to_owned())),
            ("list[99999999999]=1", OptionError::BadPart("list[99999999999]".to_owned())),
            ("a.b.c=1", OptionError::NotAContainer("c".to_owned())),
            ("a[0]=1", OptionError::NotAContainer("a".to_owned())),
            ("a.b={", OptionError::BadValue("{".to_owned())),
        ];
        for (option, expected) in cases {
            assert_eq!(check(option), Err(expected), "{option}");
        }
    }
}
