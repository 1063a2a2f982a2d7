//! The FalcoRule resource: types, schema, generated YAML
