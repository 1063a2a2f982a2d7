//! An audit policy (`audit.k8s.io/v1`), and what the API server makes of it: the first rule that matches a request
//! decides on the level of its events.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// How much of a request is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes'")]
pub enum Level {
    #[default]
    None,
    Metadata,
    Request,
    RequestResponse,
}

/// How far a request has come when an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes'")]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    /// Every stage, in the order of a request.
    pub const ALL: [Self; 4] =
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What is wrong with a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a policy.
    #[error("not an audit policy: {0}")]
    Yaml(String),
    /// Another kind of object.
    #[error(
        "not an audit policy: apiVersion '{0}', kind '{1}'; the API server takes 'audit.k8s.io/v1', 'Policy'"
    )]
    Kind(String, String),
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    /// Stages that are written for no rule.
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    /// Whether `metadata.managedFields` is cut out of the objects.
    #[serde(default)]
    pub omit_managed_fields: bool,
    /// The rules; the first that matches counts.
    #[serde(default)]
    pub rules: Vec<Spanned<PolicyRule>>,
}

/// One rule of a policy. An empty list does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// How much is logged.
    pub level: Level,
    /// Names of users.
    #[serde(default)]
    pub users: Vec<String>,
    /// A user of any of these groups.
    #[serde(default)]
    pub user_groups: Vec<String>,
    /// Verbs.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Resources; requests that are about none do not match then.
    #[serde(default)]
    pub resources: Vec<GroupResources>,
    /// Namespaces; the empty name stands for what has none.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Paths of requests that are about no resource, with `*` at the end or alone.
    #[serde(default, rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
    /// Stages that are not written.
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    /// Overrides the policy's.
    #[serde(default)]
    pub omit_managed_fields: Option<bool>,
}

/// Resources of one API group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupResources {
    /// The group; empty for the core.
    #[serde(default)]
    pub group: String,
    /// `pods`, `pods/exec`, `pods/*`, `*/scale`, `*`; all if empty.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Names of objects; all if empty.
    #[serde(default)]
    pub resource_names: Vec<String>,
}

/// A request, as far as a policy looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Who asks.
    pub user: String,
    /// The groups of that user.
    pub groups: Vec<String>,
    /// `create`, or the HTTP method in small letters where no resource is asked for.
    pub verb: String,
    /// What is asked for.
    pub target: RequestTarget,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestTarget {
    /// A resource.
    Resource {
        /// Its API group, empty for the core.
        group: String,
        /// Its name in the plural.
        resource: String,
        /// Empty for the resource itself.
        subresource: String,
        /// Empty for what has none.
        namespace: String,
        /// Of the object; empty where there is none in the path.
        name: String,
    },
    /// Another path.
    Path(String),
}

impl Default for RequestTarget {
    fn default() -> Self {
        Self::Path("/".to_owned())
    }
}

/// What a policy says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Position of the rule that decides; `None` if no rule matches.
    pub rule: Option<usize>,
    /// How much is logged.
    pub level: Level,
    omit: [&'a [Stage]; 2],
}

impl Decision<'_> {
    /// The level at which an event of this stage is written.
    pub fn at(&self, stage: Stage) -> Level {
        if self.omit.iter().any(|stages| stages.contains(&stage)) { Level::None } else { self.level }
    }
}

impl Policy {
    /// Reads a policy.
    pub fn parse(yaml: &str) -> Result<Self, PolicyError> {
        let policy: Self = serde_saphyr::from_str(yaml).map_err(|e| PolicyError::Yaml(e.to_string()))?;
        if (policy.api_version.as_str(), policy.kind.as_str()) != ("audit.k8s.io/v1", "Policy") {
            return Err(PolicyError::Kind(policy.api_version, policy.kind));
        }
        Ok(policy)
    }

    /// What the API server does with a request.
    pub fn decide(&self, request: &Request) -> Decision<'_> {
        let found = self.rules.iter().enumerate().find(|(_, rule)| rule.value.matches(request));
        let (level, omit) = found.map_or((Level::None, &[][..]), |(_, rule)| {
            let rule = &rule.value;
            (rule.level, rule.omit_stages.as_slice())
        });
        Decision { rule: found.map(|(at, _)| at), level, omit: [&self.omit_stages, omit] }
    }
}

impl PolicyRule {
    /// Whether this rule is about the request. The order of the questions is the API server's.
    pub fn matches(&self, request: &Request) -> bool {
        let groups = &self.user_groups;
        allows(&self.users, &request.user)
            && (groups.is_empty() || request.groups.iter().any(|group| groups.contains(group)))
            && allows(&self.verbs, &request.verb)
            && self.matches_target(&request.target)
    }

    fn matches_target(&self, target: &RequestTarget) -> bool {
        match target {
            RequestTarget::Resource { namespace, .. }
                if !self.namespaces.is_empty() || !self.resources.is_empty() =>
            {
                allows(&self.namespaces, namespace)
                    && (self.resources.is_empty() || self.resources.iter().any(|r| r.matches(target)))
            }
            RequestTarget::Path(_) if !self.namespaces.is_empty() || !self.resources.is_empty() => false,
            RequestTarget::Path(path) => {
                let urls = &self.non_resource_urls;
                urls.is_empty() || urls.iter().any(|url| path_matches(url, path))
            }
            RequestTarget::Resource { .. } => self.non_resource_urls.is_empty(),
        }
    }
}

fn allows(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|allowed| allowed == value)
}

fn path_matches(url: &str, path: &str) -> bool {
    url == "*" || url == path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
}

impl GroupResources {
    fn matches(&self, target: &RequestTarget) -> bool {
        let RequestTarget::Resource { group, resource, subresource, name, .. } = target else { return false };
        let named = |pattern: &String| resource_matches(pattern, resource, subresource);
        self.group == *group
            && (self.resources.is_empty()
                || allows(&self.resource_names, name) && self.resources.iter().any(named))
    }
}

/// `pods/*` is also `pods` itself: so the API server does it.
fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        Some(("*", part)) => !subresource.is_empty() && part == subresource,
        Some((of, "*")) => of == resource,
        Some((of, part)) => of == resource && part == subresource,
        None => pattern == "*" || pattern == resource && subresource.is_empty(),
    }
}
