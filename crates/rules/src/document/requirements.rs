//! `required_engine_version` and `required_plugin_versions`.

use crate::{
    document::{
        Decoded,
        decode::{Scalar, invalid, parse_number, text},
    },
    place::Place,
    requirements::{EngineRequirement, PluginRequirement, parse_version},
    yaml::{Node, Value},
};

pub(crate) fn engine(node: &Node, file: &Place) -> Decoded<EngineRequirement> {
    let place = file.step("required_engine_version", "", node.mark);
    let Scalar { text, .. } = text(node, "required_engine_version", &place)?;
    // A plain number is the minor version, as engine versions were before 0.26.0.
    let version = parse_number(&text).map(|minor| (0, minor, 0)).or_else(|| parse_version(&text));
    let Some(version) = version else {
        let message = format!("Unable to parse engine version '{text}' as a semver string. ");
        return Err(invalid(&place, message + "Expected \"x.y.z\" semver format."));
    };
    Ok(EngineRequirement { version, place })
}

pub(crate) fn plugins(node: &Node, file: &Place) -> Decoded<Vec<PluginRequirement>> {
    let Some(value) = node.get("required_plugin_versions") else { return Ok(Vec::new()) };
    let place = file.step("required plugin versions", "", value.mark);
    let Value::Sequence(entries) = &value.value else {
        return Err(invalid(&place, "Value of required_plugin_versions must be a sequence"));
    };
    entries.iter().map(|entry| plugin(entry, &place)).collect()
}

fn plugin(entry: &Node, parent: &Place) -> Decoded<PluginRequirement> {
    let kind = "required plugin versions entry";
    let (first, place) = named_version(entry, kind, "Plugin version must be a mapping", parent)?;
    let mut alternatives = vec![first];
    if let Some(others) = entry.get("alternatives") {
        let Value::Sequence(others) = &others.value else {
            return Err(invalid(&place, "Value of plugin version alternatives must be a sequence"));
        };
        let kind = "required plugin versions alternative";
        for other in others.iter() {
            let message = "Plugin version alternative must be a mapping";
            alternatives.push(named_version(other, kind, message, &place)?.0);
        }
    }
    Ok(PluginRequirement { alternatives, place })
}

fn named_version(
    node: &Node,
    kind: &'static str,
    no_mapping: &str,
    parent: &Place,
) -> Decoded<((String, String), Place)> {
    let place = parent.step(kind, "", node.mark);
    let Value::Map(_) = node.value else { return Err(invalid(&place, no_mapping)) };
    let name = text(node, "name", &place)?.text;
    let place = parent.step(kind, &name, node.mark);
    let version = text(node, "version", &place)?.text;
    Ok(((name, version), place))
}
