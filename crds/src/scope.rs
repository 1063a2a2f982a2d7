//! How far a resource reaches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose events rules see.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the field's comment tells; a comment on each would make the schema no enum")]
pub enum Scope {
    #[default]
    Cluster,
    Namespace,
}
