//! containerd's own interface: containers of every namespace, also those that the CRI does not know.

pub(crate) mod messages;

use messages::{
    Container, GetContainerRequest, GetContainerResponse, GetImageRequest, GetImageResponse,
    ListNamespacesRequest, ListNamespacesResponse,
};
use saker_events::container::{Engine, Metadata};
use serde_json::Value;
use tonic::transport::Channel;

use crate::{fault::Fault, grpc, limits::Limits, oci};

const LIST_NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
const GET_CONTAINER: &str = "/containerd.services.containers.v1.Containers/Get";
const GET_IMAGE: &str = "/containerd.services.images.v1.Images/Get";
/// Namespaces that are looked into.
const MAX_NAMESPACES: usize = 32;

/// Asks every namespace for a container.
pub(crate) async fn find(channel: &Channel, id: &str, limits: Limits) -> Result<Option<Metadata>, Fault> {
    let namespaces: Option<ListNamespacesResponse> =
        grpc::call(channel, LIST_NAMESPACES, None, ListNamespacesRequest {}).await?;
    for namespace in namespaces.unwrap_or_default().namespaces.iter().take(MAX_NAMESPACES) {
        let question = GetContainerRequest { id: id.to_owned() };
        let answer: Option<GetContainerResponse> =
            grpc::call(channel, GET_CONTAINER, Some(&namespace.name), question).await?;
        if let Some(container) = answer.and_then(|answer| answer.container) {
            let digest = digest(channel, &namespace.name, &container.image).await?;
            return Ok(Some(metadata(&container, digest, limits)));
        }
    }
    Ok(None)
}

/// The digest of the image that has this name now.
async fn digest(channel: &Channel, namespace: &str, image: &str) -> Result<String, Fault> {
    let question = GetImageRequest { name: image.to_owned() };
    let answer: Option<GetImageResponse> = grpc::call(channel, GET_IMAGE, Some(namespace), question).await?;
    let target = answer.and_then(|answer| answer.image?.target);
    Ok(target.map(|target| target.digest).unwrap_or_default())
}

fn metadata(container: &Container, image_digest: String, limits: Limits) -> Metadata {
    let spec = container.spec.as_ref().map(|spec| spec.value.as_slice()).unwrap_or_default();
    let spec: Value = serde_json::from_slice(spec).unwrap_or_default();
    let labels = limits.labels(&container.labels);
    Metadata {
        full_id: container.id.clone(),
        engine: Some(Engine::Containerd),
        name: oci::container_name(&spec).unwrap_or(&container.id).to_owned(),
        image: container.image.clone(),
        image_digest,
        pod: oci::pod(&spec).or_else(|| oci::pod_of_labels(&labels)),
        labels,
        ..oci::metadata(&spec)
    }
}
