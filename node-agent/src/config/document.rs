//! What users are told of the configuration, all derived from the types and their comments.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// How the description of a key that does nothing begins.
const IGNORED: &str = "Ignored: ";

/// The JSON schema.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true).into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}

/// One warning for each key of a configuration that does nothing here.
pub fn warnings(text: &str) -> Vec<String> {
    let values = serde_saphyr::from_str(text).unwrap_or(Value::Null);
    let mut warnings = Vec::new();
    let warn = &mut |path: &str, schema: &Value| {
        let given = values.pointer(&format!("/{}", path.replace('.', "/"))).is_some();
        if let Some(reason) = description(schema).strip_prefix(IGNORED).filter(|_| given) {
            warnings.push(format!("{path} is ignored: {reason}"));
        }
    };
    walk(&schema(), "", warn);
    warnings
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Visits every key that is no mapping, by its dot path.
fn walk(schema: &Value, prefix: &str, visit: &mut dyn FnMut(&str, &Value)) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if property.get("properties").is_some() {
            walk(property, &path, visit);
        } else {
            visit(&path, property);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of docs/configuration.md.
    fn table() -> String {
        let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
        walk(&schema(), "", &mut |path, schema| {
            let default = schema.get("default").filter(|d| !d.is_null());
            let default = default.map(|d| format!("`{d}`")).unwrap_or_default();
            let description = description(schema).replace('\n', " ").replace('|', "\\|");
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| `{path}` | {default} | {description} |");
        });
        table
    }

    #[test]
    fn ignored_keys_are_named_with_the_reason() {
        let warnings = warnings("plugins: []\njson_output: true\nwebserver: {threadiness: 2}\n");
        let expected = [
            "plugins is ignored: the k8s_audit and container plugins are built in.",
            "webserver.threadiness is ignored: the server needs one thread.",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn every_key_has_a_meaning() {
        walk(&schema(), "", &mut |path, schema| assert!(!description(schema).is_empty(), "{path}"));
    }

    /// With `UPDATE_EXPECT=1` the file is written anew.
    #[test]
    fn the_documentation_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (head, _) = text.split_once("| key | default | meaning |").unwrap();
        let fresh = format!("{head}{}", table());
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, fresh).unwrap();
        } else {
            assert!(text == fresh, "docs/configuration.md is out of date: run the test with UPDATE_EXPECT=1");
        }
    }
}
