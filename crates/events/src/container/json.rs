//! Containers as captures tell of them: the JSON text of `asyncevent` and of the older container events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Container, Engine, Labels, Metadata, Mount, Pod};

/// The whole text; what was converted from the oldest events stands without the outer object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Wrapped { container: Description },
    Plain(Description),
}

#[derive(Serialize)]
struct Telling {
    container: Description,
}

/// A container; names as other writers and readers have them.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the format")]
struct Description {
    id: String,
    full_id: String,
    #[serde(rename = "type")]
    kind: Option<u32>,
    name: String,
    image: String,
    imageid: String,
    imagedigest: String,
    imagerepo: String,
    imagetag: String,
    privileged: bool,
    host_pid: bool,
    host_network: bool,
    host_ipc: bool,
    ip: String,
    cni_json: String,
    pod_sandbox_id: String,
    labels: Option<BTreeMap<String, String>>,
    pod_sandbox_labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "Mounts")]
    mounts: Option<Vec<Mounted>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Mounted {
    source: String,
    destination: String,
    mode: String,
    #[serde(rename = "RW")]
    writable: bool,
    propagation: String,
}

/// Numbers of runtimes in `type`; 6 is any that has the Container Runtime Interface.
const KINDS: [(u32, Engine); 6] = [
    (7, Engine::Containerd),
    (0, Engine::Docker),
    (1, Engine::Lxc),
    (8, Engine::Crio),
    (11, Engine::Podman),
    (6, Engine::Containerd),
];
/// Labels by which the kubelet names the pod of each of its containers.
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";

impl Container {
    /// A container from the text that a capture has of it.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let (Told::Wrapped { container } | Told::Plain(container)) = serde_json::from_slice(text).ok()?;
        if container.id.is_empty() {
            return None;
        }
        let engine =
            KINDS.iter().find(|(number, _)| Some(*number) == container.kind).map(|(_, engine)| *engine);
        let full_id = if container.full_id.is_empty() { &container.id } else { &container.full_id };
        let told = Self::new(full_id.clone(), engine.unwrap_or(Engine::Containerd));
        told.set_metadata(Metadata { engine, ..container.into() });
        Some(told)
    }

    /// The text for captures; `None` while there is no metadata.
    pub fn to_json(&self) -> Option<Vec<u8>> {
        let metadata = self.metadata()?;
        let kind = KINDS.iter().find(|(_, engine)| *engine == self.engine()).map(|(number, _)| *number);
        let container =
            Description { id: self.id().to_owned(), full_id: self.full_id.clone(), kind, ..metadata.into() };
        serde_json::to_vec(&Telling { container }).ok()
    }
}

impl From<Description> for Metadata {
    fn from(told: Description) -> Self {
        let labels: Labels = told.labels.unwrap_or_default().into_iter().collect();
        let pod_labels = told.pod_sandbox_labels.unwrap_or_default().into_iter().collect();
        Self {
            pod: pod(&labels, told.pod_sandbox_id, pod_labels),
            image: image(told.image, &told.imagerepo, &told.imagetag),
            full_id: told.full_id,
            engine: None,
            name: told.name,
            image_id: told.imageid,
            image_digest: told.imagedigest,
            privileged: Some(told.privileged),
            mounts: told.mounts.unwrap_or_default().into_iter().map(Mount::from).collect(),
            labels,
            host_pid: Some(told.host_pid),
            host_network: Some(told.host_network),
            host_ipc: Some(told.host_ipc),
            healthcheck: String::new(),
            ip: told.ip,
            cni_json: told.cni_json,
        }
    }
}

impl From<&Metadata> for Description {
    fn from(known: &Metadata) -> Self {
        let labels =
            |labels: &Labels| Some(labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
        let mut told = Self {
            name: known.name.clone(),
            image: known.image.clone(),
            imageid: known.image_id.clone(),
            imagedigest: known.image_digest.clone(),
            imagerepo: known.image_repository().to_owned(),
            imagetag: known.image_tag().to_owned(),
            privileged: known.privileged.unwrap_or(false),
            host_pid: known.host_pid.unwrap_or(false),
            host_network: known.host_network.unwrap_or(false),
            host_ipc: known.host_ipc.unwrap_or(false),
            ip: known.ip.clone(),
            cni_json: known.cni_json.clone(),
            labels: labels(&known.labels),
            mounts: Some(known.mounts.iter().map(Mounted::from).collect()),
            ..Self::default()
        };
        if let (Some(pod), Some(all)) = (&known.pod, &mut told.labels) {
            let of_pod = [(POD_NAME, &pod.name), (POD_NAMESPACE, &pod.namespace), (POD_UID, &pod.uid)];
            all.extend(of_pod.map(|(name, value)| (name.to_owned(), value.clone())));
            told.pod_sandbox_id.clone_from(&pod.sandbox_id);
            told.pod_sandbox_labels = labels(&pod.labels);
        }
        told
    }
}

fn pod(labels: &Labels, sandbox_id: String, pod_labels: Labels) -> Option<Pod> {
    let owned = |name| labels.get(name).unwrap_or_default().to_owned();
    let (name, namespace, uid) = (owned(POD_NAME), owned(POD_NAMESPACE), owned(POD_UID));
    let any = !(name.is_empty() && sandbox_id.is_empty());
    any.then_some(Pod { name, namespace, uid, sandbox_id, labels: pod_labels })
}

/// The image's name; some writers tell its parts alone.
fn image(whole: String, repository: &str, tag: &str) -> String {
    match (whole.as_str(), tag) {
        ("", "") => repository.to_owned(),
        ("", tag) if !repository.is_empty() => format!("{repository}:{tag}"),
        _ => whole,
    }
}

impl From<Mounted> for Mount {
    fn from(told: Mounted) -> Self {
        let Mounted { source, destination, mode, writable, propagation } = told;
        Self { source, dest: destination, mode, writable, propagation }
    }
}

impl From<&Mount> for Mounted {
    fn from(known: &Mount) -> Self {
        let Mount { source, dest, mode, writable, propagation } = known.clone();
        Self { source, destination: dest, mode, writable, propagation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::short;

    const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";

    fn told(text: &str) -> Option<(String, Metadata)> {
        let container = Container::from_json(text.as_bytes())?;
        Some((container.id().to_owned(), container.metadata()?.clone()))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let labels = [("app", "shop"), (POD_NAME, "web-0"), (POD_NAMESPACE, "shop"), (POD_UID, "3e41")];
        let labels =
            |n: usize| labels.iter().take(n).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let pod = Pod {
            name: "web-0".to_owned(),
            namespace: "shop".to_owned(),
            uid: "3e41".to_owned(),
            sandbox_id: ID.to_owned(),
            labels: labels(1),
        };
        let mount = Mount {
            source: "/a".to_owned(),
            dest: "/b".to_owned(),
            writable: true,
            propagation: "rslave".to_owned(),
            ..Mount::default()
        };
        let metadata = Metadata {
            full_id: ID.to_owned(),
            engine: Some(Engine::Crio),
            name: "front".to_owned(),
            image: "registry:5000/shop/front:1.2".to_owned(),
            image_id: "00ff".to_owned(),
            image_digest: "sha256:0f".to_owned(),
            privileged: Some(true),
            mounts: vec![mount],
            labels: labels(4),
            host_pid: Some(false),
            host_network: Some(true),
            host_ipc: Some(false),
            ip: "10.0.0.7".to_owned(),
            cni_json: "{\"a\":1}".to_owned(),
            pod: Some(pod),
            ..Metadata::default()
        };
        let container = Container::new(ID, Engine::Crio);
        assert_eq!(container.to_json(), None);
        container.set_metadata(metadata.clone());
        let text = String::from_utf8(container.to_json().unwrap()).unwrap();
        assert_eq!(told(&text), Some((short(ID).to_owned(), metadata)));
    }

    #[test]
    fn texts_of_other_writers() {
        let (id, old) = told(r#"{"id":"3ad7b26ded6d","type":0,"name":"web","image":"nginx:1"}"#).unwrap();
        assert_eq!(
            (id.as_str(), old.engine, old.name.as_str()),
            ("3ad7b26ded6d", Some(Engine::Docker), "web")
        );
        assert_eq!((old.image_repository(), old.image_tag()), ("nginx", "1"));
        let text = r#"{"container":{"Mounts":[],"User":"","cpu_quota":0,"env":[],"id":"3ad7b26ded6d","image":"",
            "imagerepo":"fedora","imagetag":"38","labels":null,"lookup_state":1,"pod_sandbox_labels":null,"type":6}}"#;
        let (_, new) = told(text).unwrap();
        assert_eq!((new.image.as_str(), new.pod.is_none()), ("fedora:38", true));
    }

    #[test]
    fn what_is_no_container_is_none() {
        for text in ["", "{}", "[]", "{\"container\":{}}", "{\"container\":{\"id\":7}}", "{\"id\":\"\"}"] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
