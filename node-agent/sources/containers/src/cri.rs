//! The Container Runtime Interface, v1: what the kubelet asks too.

pub(crate) mod messages;

use messages::{
    ContainerStatus, ContainerStatusRequest, ContainerStatusResponse, PodSandboxStatus,
    PodSandboxStatusRequest, PodSandboxStatusResponse,
};
use saker_events::container::{Engine, Metadata, Mount, Pod};
use serde_json::Value;
use tonic::transport::Channel;

use crate::{fault::Fault, grpc, limits::Limits, oci};

const CONTAINER_STATUS: &str = "/runtime.v1.RuntimeService/ContainerStatus";
const POD_SANDBOX_STATUS: &str = "/runtime.v1.RuntimeService/PodSandboxStatus";

/// Names of mount propagation by their number.
const PROPAGATION: [&str; 3] = ["private", "rslave", "rshared"];
/// The number of "the node's own" among the modes of a namespace.
const NODE: i32 = 2;

/// Asks for a container, which may be a pod's sandbox.
pub(crate) async fn find(channel: &Channel, id: &str, limits: Limits) -> Result<Option<Metadata>, Fault> {
    let question = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
    let answer: Option<ContainerStatusResponse> =
        grpc::call(channel, CONTAINER_STATUS, None, question).await?;
    let Some((status, info)) = answer.and_then(|a| Some((a.status?, a.info))) else {
        let answer = sandbox(channel, id).await?;
        return Ok(answer.and_then(|answer| of_sandbox(&answer, limits)));
    };
    let info = json(info.get("info"));
    let mut metadata = of_container(&status, &info, limits);
    if let Some(sandbox_id) = oci::text(&info, "/sandboxID")
        && let Some(answer) = sandbox(channel, sandbox_id).await?
    {
        add_pod(&mut metadata, &answer, limits);
    }
    Ok(Some(metadata))
}

async fn sandbox(channel: &Channel, id: &str) -> Result<Option<PodSandboxStatusResponse>, Fault> {
    let question = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
    grpc::call(channel, POD_SANDBOX_STATUS, None, question).await
}

/// The verbose part of an answer; every runtime writes it in its own way.
fn json(text: Option<&String>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn of_container(status: &ContainerStatus, info: &Value, limits: Limits) -> Metadata {
    let labels = limits.labels(&status.labels);
    let image = status.image.as_ref().map(|spec| spec.image.as_str()).unwrap_or_default();
    let privileged = ["/config/linux/security_context/privileged", "/privileged"];
    Metadata {
        full_id: status.id.clone(),
        // CRI-O has no snapshots, and its cgroups tell its name.
        engine: info.get("snapshotter").map(|_| Engine::Containerd),
        name: status.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default(),
        image: image_name(image, info).to_owned(),
        image_id: image_id(status).to_owned(),
        image_digest: status
            .image_ref
            .split_once('@')
            .map(|(_, digest)| digest.to_owned())
            .unwrap_or_default(),
        // Who does not write a false leaves it out.
        privileged: (!info.is_null())
            .then(|| privileged.iter().any(|path| info.pointer(path) == Some(&Value::Bool(true)))),
        mounts: status.mounts.iter().map(mount).collect(),
        pod: oci::pod_of_labels(&labels),
        labels,
        ..Metadata::default()
    }
}

/// The name that was asked for. A container of which the image lost its name to a newer one has an id for a name.
fn image_name<'a>(image: &'a str, info: &'a Value) -> &'a str {
    let asked = oci::text(info, "/runtimeSpec/annotations/io.kubernetes.cri.image-name");
    let id = image.starts_with("sha256:") || !image.contains(['/', ':', '.']);
    asked.filter(|_| id).unwrap_or(image)
}

/// Interfaces before 1.30 have no field of its own for it; then a reference without a name is the id.
fn image_id(status: &ContainerStatus) -> &str {
    let reference = Some(status.image_ref.as_str()).filter(|reference| !reference.contains('@'));
    let image = status.image.as_ref().map(|spec| spec.image.as_str());
    let told = Some(status.image_id.as_str()).filter(|id| !id.is_empty());
    let id = [told, reference, image].into_iter().flatten().find_map(|id| id.strip_prefix("sha256:"));
    id.unwrap_or_default()
}

fn mount(mount: &messages::Mount) -> Mount {
    let propagation = usize::try_from(mount.propagation).ok().and_then(|number| PROPAGATION.get(number));
    Mount {
        source: mount.host_path.clone(),
        dest: mount.container_path.clone(),
        mode: String::new(),
        writable: !mount.readonly,
        propagation: propagation.copied().unwrap_or_default().to_owned(),
    }
}

/// A sandbox asked for by its own id.
fn of_sandbox(answer: &PodSandboxStatusResponse, limits: Limits) -> Option<Metadata> {
    let status = answer.status.as_ref()?;
    let mut metadata = Metadata { full_id: status.id.clone(), ..Metadata::default() };
    add_pod(&mut metadata, answer, limits);
    Some(metadata)
}

fn add_pod(metadata: &mut Metadata, answer: &PodSandboxStatusResponse, limits: Limits) {
    let Some(status) = &answer.status else { return };
    metadata.pod = Some(pod(status, limits));
    metadata.ip = status.network.as_ref().map(|network| network.ip.clone()).unwrap_or_default();
    let cni = json(answer.info.get("info")).pointer("/cniResult").map(Value::to_string);
    metadata.cni_json = cni.filter(|cni| cni != "null").unwrap_or_default();
    let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    metadata.host_network = options.map(|options| options.network == NODE);
    metadata.host_pid = options.map(|options| options.pid == NODE);
    metadata.host_ipc = options.map(|options| options.ipc == NODE);
}

fn pod(status: &PodSandboxStatus, limits: Limits) -> Pod {
    let metadata = status.metadata.clone().unwrap_or_default();
    Pod {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        sandbox_id: status.id.clone(),
        labels: limits.labels(&status.labels),
    }
}
