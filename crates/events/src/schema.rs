//! What rules may mention: the sources, fields and event types of this crate's tables.

use std::sync::{Arc, OnceLock};

use saker_rules::{
    load::LoadOptions,
    schema::{Schema, SourceId, SourceSpec},
};

use crate::{fields, table};

/// The source of system calls.
pub const SYSCALL_SOURCE: SourceId = SourceId(0);
/// The source of Kubernetes audit events.
pub const K8S_AUDIT_SOURCE: SourceId = SourceId(1);

/// Falco's plugins that are built in, with the version that each stands in for (`required_plugin_versions`).
const PLUGINS: [(&str, (u32, u32, u32)); 3] =
    [("k8saudit", (0, 18, 0)), ("json", (0, 7, 3)), ("container", (0, 6, 4))];

/// How rules about these events are loaded: every program starts from the same.
pub fn load_options() -> LoadOptions {
    let plugins = PLUGINS.map(|(name, version)| (name.to_owned(), version)).into();
    LoadOptions { plugins, ..LoadOptions::new(schema()) }
}

/// The schema, built once.
pub fn schema() -> Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| Arc::new(build())))
}

fn build() -> Schema {
    let sources =
        vec![SourceSpec { name: "syscall", typed: true }, SourceSpec { name: "k8s_audit", typed: false }];
    let fields = fields::rows().iter().map(|r| r.spec).collect();
    Schema::new(fields, sources, table::event_types().to_vec()).with_parameter_types(table::parameter_types())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_field_table_is_sound() {
        assert_eq!(fields::rows().len(), 425, "the fields of specification §6");
        let mut seen = BTreeSet::new();
        for row in fields::rows() {
            let spec = row.spec;
            let described = !spec.description.is_empty() && !spec.description.ends_with('.');
            assert!(described, "{}: a description without a full stop", spec.name);
            assert!(spec.sources != 0, "{}: offered by no source", spec.name);
            for bit in 0..u8::BITS {
                let offered = spec.sources & (1 << bit) != 0;
                assert!(!offered || seen.insert((bit, spec.name)), "{} stands twice", spec.name);
            }
        }
    }

    #[test]
    fn sources_and_names_are_found() {
        let schema = schema();
        assert_eq!(schema.find_source("syscall"), Some(SYSCALL_SOURCE));
        assert_eq!(schema.find_source("k8s_audit"), Some(K8S_AUDIT_SOURCE));
        assert!(schema.find_field(SYSCALL_SOURCE, "proc.name").is_some());
        assert!(schema.find_field(K8S_AUDIT_SOURCE, "proc.name").is_none());
        assert!(schema.find_field(K8S_AUDIT_SOURCE, "evt.time").is_some());
        assert!(schema.find_event_type("openat").is_some());
        assert!(schema.find_event_type("madvise").is_some());
    }
}
