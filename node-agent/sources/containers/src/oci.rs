//! What an OCI runtime specification tells, and what Kubernetes' runtimes write into it.

use saker_events::container::{Labels, Metadata, Mount, Pod};
use serde_json::Value;

/// A text at a JSON pointer.
pub(crate) fn text<'a>(json: &'a Value, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// An annotation of containerd's CRI.
fn annotation<'a>(spec: &'a Value, name: &str) -> Option<&'a str> {
    text(spec, &format!("/annotations/io.kubernetes.cri.{name}"))
}

/// The name of a pod's container.
pub(crate) fn container_name(spec: &Value) -> Option<&str> {
    annotation(spec, "container-name")
}

/// The pod that containerd's CRI wrote into the specification of a container or sandbox.
pub(crate) fn pod(spec: &Value) -> Option<Pod> {
    let owned = |name| annotation(spec, name).unwrap_or_default().to_owned();
    annotation(spec, "sandbox-name")?;
    Some(Pod {
        name: owned("sandbox-name"),
        namespace: owned("sandbox-namespace"),
        uid: owned("sandbox-uid"),
        sandbox_id: owned("sandbox-id"),
        labels: Labels::default(),
    })
}

/// The pod that the kubelet wrote into the labels of each of its containers.
pub(crate) fn pod_of_labels(labels: &Labels) -> Option<Pod> {
    let owned = |name| labels.get(name).unwrap_or_default().to_owned();
    labels.get("io.kubernetes.pod.name")?;
    Some(Pod {
        name: owned("io.kubernetes.pod.name"),
        namespace: owned("io.kubernetes.pod.namespace"),
        uid: owned("io.kubernetes.pod.uid"),
        sandbox_id: owned("io.kubernetes.sandbox.id"),
        labels: Labels::default(),
    })
}

/// What the specification itself tells.
pub(crate) fn metadata(spec: &Value) -> Metadata {
    if !spec.is_object() {
        return Metadata::default();
    }
    Metadata {
        privileged: Some(is_privileged(spec)),
        mounts: array(spec, "/mounts").iter().filter_map(mount).collect(),
        host_pid: Some(shares(spec, "pid")),
        host_network: Some(shares(spec, "network")),
        host_ipc: Some(shares(spec, "ipc")),
        ..Metadata::default()
    }
}

fn array<'a>(json: &'a Value, pointer: &str) -> &'a [Value] {
    json.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A namespace that is not made for the container is the host's.
fn shares(spec: &Value, kind: &str) -> bool {
    !array(spec, "/linux/namespaces").iter().any(|namespace| text(namespace, "/type") == Some(kind))
}

/// A specification has no word for it: privileged containers administer the system and nothing of it is masked.
fn is_privileged(spec: &Value) -> bool {
    let bounding = array(spec, "/process/capabilities/bounding");
    let admin = bounding.iter().any(|capability| capability == "CAP_SYS_ADMIN");
    admin && array(spec, "/linux/maskedPaths").is_empty()
}

/// A file or directory of the host; what the runtime makes itself (`proc`, `tmpfs`) is none.
fn mount(mount: &Value) -> Option<Mount> {
    text(mount, "/type").filter(|kind| *kind == "bind")?;
    let options = array(mount, "/options");
    let has = |option: &str| options.iter().any(|known| known == option);
    let propagation = ["rprivate", "private", "rslave", "slave", "rshared", "shared"];
    let owned = |pointer| text(mount, pointer).unwrap_or_default().to_owned();
    Some(Mount {
        source: owned("/source"),
        dest: owned("/destination"),
        mode: String::new(),
        writable: !has("ro"),
        propagation: propagation.into_iter().find(|known| has(known)).unwrap_or_default().to_owned(),
    })
}
