//! Where the rules of a FalcoRule apply: nodes, pods, containers, the host.

use std::collections::BTreeMap;

use saker_rules::binding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where rules apply. What is left out restricts nothing.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
pub struct Selector {
    /// Nodes, by their labels. On other nodes the rules are not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,

    /// Processes in pods with these labels; `{}` stands for every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,

    /// Processes in these containers; `{}` stands for every container. Together with `pods` both must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainerSelector>,

    /// Processes outside of containers. Beside `pods` or `containers` these too; alone only these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
}

/// Containers, by what the runtime tells of them.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
pub struct ContainerSelector {
    /// Names of containers, as the runtime has them; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = r#"^[^"\\\s]+$"#)))]
    pub names: Vec<String>,

    /// Images without their tags, for example `docker.io/library/nginx`; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = r#"^[^"\\\s]+$"#)))]
    pub images: Vec<String>,
}

/// Labels, as everywhere in Kubernetes: all that is asked must hold.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub match_labels: BTreeMap<String, String>,

    /// Labels that are compared otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What one label must be.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
pub struct LabelRequirement {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,

    /// How it is compared: `In` and `NotIn` with values, `Exists` and `DoesNotExist` without.
    pub operator: LabelOperator,

    /// The values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes'; a comment on each would make the schema no enum")]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// What is asked of labels, in one form.
    pub(crate) fn requirements(&self) -> Result<Vec<binding::Requirement>, String> {
        let equal = |(key, value): (&String, &String)| binding::Requirement {
            key: key.clone(),
            operator: binding::Operator::In,
            values: vec![value.clone()],
        };
        let expressions = self.match_expressions.iter().map(LabelRequirement::requirement);
        let all: Vec<_> = self.match_labels.iter().map(equal).chain(expressions).collect();
        all.iter().try_for_each(check)?;
        Ok(all)
    }
}

impl LabelRequirement {
    fn requirement(&self) -> binding::Requirement {
        let operator = match self.operator {
            LabelOperator::In => binding::Operator::In,
            LabelOperator::NotIn => binding::Operator::NotIn,
            LabelOperator::Exists => binding::Operator::Exists,
            LabelOperator::DoesNotExist => binding::Operator::DoesNotExist,
        };
        binding::Requirement { key: self.key.clone(), operator, values: self.values.clone() }
    }
}

/// Labels become parts of conditions: nothing may stand in them that a label cannot have.
fn check(requirement: &binding::Requirement) -> Result<(), String> {
    let binding::Requirement { key, operator, values } = requirement;
    let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    if key.is_empty() || !plain(key, "-_./") {
        return Err(format!("'{key}' is no label: letters, digits and -_./ make one"));
    }
    if let Some(value) = values.iter().find(|value| !plain(value, "-_.")) {
        return Err(format!("'{value}' is no value of a label: letters, digits and -_. make one"));
    }
    let wanted = matches!(operator, binding::Operator::In | binding::Operator::NotIn);
    if wanted == values.is_empty() {
        let how = if wanted { "needs values" } else { "takes no values" };
        return Err(format!("the operator {operator:?} of the label '{key}' {how}"));
    }
    Ok(())
}
