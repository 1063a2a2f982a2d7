//! A client of the Container Runtime Interface that runs pods, as the kubelet does.

use std::{collections::HashMap, path::Path};

use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic::{Request, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(map = "string, string", tag = "6")]
    labels: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxPodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxPodSandboxConfig {
    #[prost(message, optional, tag = "2")]
    security_context: Option<LinuxSandboxSecurityContext>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxSandboxSecurityContext {
    #[prost(message, optional, tag = "1")]
    namespace_options: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Name>,
    #[prost(message, optional, tag = "2")]
    image: Option<Name>,
    #[prost(string, repeated, tag = "4")]
    args: Vec<String>,
}

/// `ContainerMetadata` and `ImageSpec` begin alike, and so do all answers and questions about one id.
#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// The modes of a namespace: the node's own, so that no network plugin is needed.
const NODE: i32 = 2;

pub(crate) struct Cri(Channel);

impl Cri {
    pub(crate) fn new(socket: &Path) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("unix://{}", socket.display()));
        let origin = tonic::transport::Uri::from_static("http://localhost");
        Self(endpoint.unwrap().origin(origin).connect_lazy())
    }

    async fn call<Q, A>(&self, method: &str, question: Q) -> A
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut client = Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}")).unwrap();
        let codec = ProstCodec::<Q, A>::default();
        client
            .unary(Request::new(question), path, codec)
            .await
            .unwrap_or_else(|e| panic!("{method}: {e}"))
            .into_inner()
    }

    /// Runs a pod with one container; returns the id of its sandbox.
    pub(crate) async fn run(&self, pod: [&str; 3], image: &str, args: &[&str]) -> String {
        let [name, namespace, uid] = pod.map(str::to_owned);
        let namespace_options = Some(NamespaceOption { network: NODE });
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata { name, uid, namespace }),
            labels: HashMap::from([("app".to_owned(), "shop".to_owned())]),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext { namespace_options }),
            }),
        };
        let question = RunPodSandboxRequest { config: Some(config.clone()) };
        let Name { name: sandbox } = self.call("RunPodSandbox", question).await;
        let container = ContainerConfig {
            metadata: Some(Name { name: "front".to_owned() }),
            image: Some(Name { name: image.to_owned() }),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        };
        let question = CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(container),
            sandbox_config: Some(config),
        };
        let container: Name = self.call("CreateContainer", question).await;
        let Nothing {} = self.call("StartContainer", container).await;
        sandbox
    }

    /// Ends a pod.
    pub(crate) async fn remove(&self, sandbox: &str) {
        let question = Name { name: sandbox.to_owned() };
        let Nothing {} = self.call("StopPodSandbox", question.clone()).await;
        let Nothing {} = self.call("RemovePodSandbox", question).await;
    }
}
