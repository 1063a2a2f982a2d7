//! Calls over gRPC to a socket of this machine.

use std::path::Path;

use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Code, Request,
    client::Grpc,
    metadata::AsciiMetadataValue,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;

use crate::{fault::Fault, limits::MAX_ANSWER};

/// The header that names a namespace of containerd.
const NAMESPACE: &str = "containerd-namespace";

/// A connection that is made, and made again, when it is needed.
pub(crate) fn channel(socket: &Path) -> Result<Channel, Fault> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
    let endpoint = endpoint.map_err(|error| Fault::Unreachable(error.to_string()))?;
    // Servers refuse a path as the name of a host.
    Ok(endpoint.origin(Uri::from_static("http://localhost")).connect_lazy())
}

/// One call. `None` says that the server does not know what was asked for.
pub(crate) async fn call<Q, A>(
    channel: &Channel,
    method: &'static str,
    namespace: Option<&str>,
    question: Q,
) -> Result<Option<A>, Fault>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let mut client = Grpc::new(channel.clone()).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(|error| Fault::Unreachable(chain(&error)))?;
    let mut request = Request::new(question);
    if let Some(namespace) = namespace.and_then(|name| AsciiMetadataValue::try_from(name).ok()) {
        request.metadata_mut().insert(NAMESPACE, namespace);
    }
    let path = PathAndQuery::from_static(method);
    match client.unary(request, path, ProstCodec::<Q, A>::default()).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        // containerd under Docker has no CRI.
        Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => Ok(None),
        Err(status) => Err(Fault::Refused(format!("{:?}: {}", status.code(), status.message()))),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
