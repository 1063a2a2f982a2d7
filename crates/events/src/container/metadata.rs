//! What a container runtime tells of a container.

use saker_rules::Glob;

use super::Engine;

/// A container as its runtime describes it. An empty text is one that the runtime did not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields'")]
pub struct Metadata {
    /// The whole id, which the cgroups tell too.
    pub full_id: String,
    /// Who answered: cgroups alone do not always tell.
    pub engine: Option<Engine>,
    pub name: String,
    /// Name of the image with its tag.
    pub image: String,
    pub image_id: String,
    pub image_digest: String,
    pub privileged: Option<bool>,
    pub mounts: Vec<Mount>,
    pub labels: Labels,
    pub host_pid: Option<bool>,
    pub host_network: Option<bool>,
    pub host_ipc: Option<bool>,
    pub healthcheck: String,
    /// First IPv4 address.
    pub ip: String,
    /// What the network plugin reported.
    pub cni_json: String,
    /// The pod that the container belongs to.
    pub pod: Option<Pod>,
}

/// The pod of a container, as the runtime was told by Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields'")]
pub struct Pod {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Whole id of the sandbox container.
    pub sandbox_id: String,
    pub labels: Labels,
}

/// Labels by name, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(Vec<(String, String)>);

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields'")]
pub struct Mount {
    pub source: String,
    pub dest: String,
    pub mode: String,
    pub writable: bool,
    pub propagation: String,
}

impl Metadata {
    /// The image without tag and digest.
    pub fn image_repository(&self) -> &str {
        split_image(&self.image).0
    }

    /// The tag of the image.
    pub fn image_tag(&self) -> &str {
        split_image(&self.image).1
    }

    /// The mount at this position, or the first with a source or destination that matches the pattern.
    pub fn mount(&self, position: Option<usize>, pattern: &str, key: fn(&Mount) -> &str) -> Option<&Mount> {
        if let Some(position) = position {
            return self.mounts.get(position);
        }
        let pattern = Glob::new(pattern.as_bytes(), false);
        self.mounts.iter().find(|mount| pattern.matches(key(mount).as_bytes()))
    }
}

/// Repository and tag of `registry:5000/name:tag@digest`.
fn split_image(image: &str) -> (&str, &str) {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((name, ""))
}

impl Mount {
    /// `source:dest:mode:rdrw:propagation`.
    pub fn text(&self) -> String {
        let Self { source, dest, mode, writable, propagation } = self;
        format!("{source}:{dest}:{mode}:{writable}:{propagation}")
    }
}

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_str())
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `key:value`, with commas.
    pub fn text(&self) -> String {
        self.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(",")
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(labels: I) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort();
        Self(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_a_repository_and_a_tag() {
        for (image, repository, tag) in [
            ("docker.io/library/busybox:1.36", "docker.io/library/busybox", "1.36"),
            ("localhost:5000/a/b", "localhost:5000/a/b", ""),
            ("localhost:5000/a/b:dev@sha256:00ff", "localhost:5000/a/b", "dev"),
            ("busybox@sha256:00ff", "busybox", ""),
            ("", "", ""),
        ] {
            assert_eq!(split_image(image), (repository, tag), "{image}");
        }
    }

    #[test]
    fn labels_are_found_and_listed_by_name() {
        let labels: Labels =
            [("b/c", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        assert_eq!((labels.get("b/c"), labels.get("c")), (Some("2"), None));
        assert_eq!(labels.text(), "a:1,b/c:2");
    }

    #[test]
    fn mounts_are_found_by_position_and_pattern() {
        let mount = |source: &str, dest: &str| Mount {
            source: source.to_owned(),
            dest: dest.to_owned(),
            writable: true,
            ..Mount::default()
        };
        let metadata =
            Metadata { mounts: vec![mount("/a", "/x"), mount("/usr/b", "/y")], ..Metadata::default() };
        let dest =
            |position, pattern| metadata.mount(position, pattern, |m| &m.source).map(|m| m.dest.as_str());
        assert_eq!(dest(Some(1), "1"), Some("/y"));
        assert_eq!(dest(Some(2), "2"), None);
        assert_eq!(dest(None, "/usr/*"), Some("/y"));
        assert_eq!(metadata.mounts[0].text(), "/a:/x::true:");
    }
}
