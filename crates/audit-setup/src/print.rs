//! A derived policy as YAML, with the reasons as comments.

use std::fmt::{self, Display, Formatter};

use crate::{
    derive::{Derived, Line},
    policy::{GroupResources, Level, PolicyRule},
};

/// Widest line of a comment.
const WIDTH: usize = 110;

impl Display for Derived {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        comment(
            f,
            "",
            "Audit policy derived from the loaded rules by `saker audit policy`. The first line that \
            matches a request decides; what no line matches is not logged. Derive it again when the rules change.",
        )?;
        comment(f, "", &self.cost())?;
        self.remarks.iter().try_for_each(|remark| comment(f, "", remark))?;
        writeln!(f, "apiVersion: audit.k8s.io/v1\nkind: Policy")?;
        if !self.omit_stages.is_empty() {
            writeln!(f, "omitStages: {}", list(self.omit_stages.iter().map(ToString::to_string)))?;
        }
        if self.omit_managed_fields {
            writeln!(f, "omitManagedFields: true")?;
        }
        if self.lines.is_empty() {
            return writeln!(
                f,
                "# No rule is about audit events: nothing is logged.\nrules:\n  - level: None"
            );
        }
        writeln!(f, "rules:")?;
        self.lines.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

impl Derived {
    /// What the policy costs, in one paragraph.
    fn cost(&self) -> String {
        let count = |level| self.lines.iter().filter(|line| line.rule.level == level).count();
        format!(
            "Cost: {} lines at Metadata (about 1 KiB an event), {} at Request (and the object sent), {} at \
             RequestResponse (and the object answered). The API server keeps events in memory until they are \
             sent. What is in the objects logged, passwords included, leaves the API server.",
            count(Level::Metadata),
            count(Level::Request),
            count(Level::RequestResponse),
        )
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.rule.level, self.wanted_by.is_empty()) {
            (Level::None, _) => comment(f, "  ", "no rule looks at this")?,
            _ => comment(f, "  ", &format!("wanted by: {}", self.wanted_by.join(", ")))?,
        }
        if !self.fields.is_empty() {
            let fields: Vec<_> = self.fields.iter().map(String::as_str).collect();
            comment(f, "  ", &format!("{} for: {}", self.rule.level, fields.join(", ")))?;
        }
        write!(f, "{}", self.rule)
    }
}

/// As an item of `rules`.
impl Display for PolicyRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "  - level: {}", self.level)?;
        let stages: Vec<_> = self.omit_stages.iter().map(ToString::to_string).collect();
        let lists = [
            ("users", &self.users),
            ("userGroups", &self.user_groups),
            ("verbs", &self.verbs),
            ("namespaces", &self.namespaces),
            ("nonResourceURLs", &self.non_resource_urls),
            ("omitStages", &stages),
        ];
        for (key, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            writeln!(f, "    {key}: {}", list(values))?;
        }
        if !self.resources.is_empty() {
            writeln!(f, "    resources:")?;
        }
        self.resources.iter().try_for_each(|group| writeln!(f, "      - {group}"))
    }
}

impl Display for GroupResources {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{group: {}", text(&self.group))?;
        for (key, values) in [("resources", &self.resources), ("resourceNames", &self.resource_names)] {
            if !values.is_empty() {
                write!(f, ", {key}: {}", list(values))?;
            }
        }
        write!(f, "}}")
    }
}

fn list(values: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

/// Quoted as JSON, which YAML reads alike, unless it is a plain word.
fn text(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    let word = value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.chars().all(plain);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !reserved.contains(&value.to_ascii_lowercase().as_str()) {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string()
    }
}

/// A text as comment lines.
fn comment(f: &mut Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len().saturating_add(word.len()) > WIDTH {
            writeln!(f, "{indent}#{line}")?;
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(f, "{indent}#{line}")
}
