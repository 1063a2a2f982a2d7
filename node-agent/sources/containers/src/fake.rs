//! Runtimes for tests: one that answers, and ones that hang, lie, refuse, overflow or close.

use std::{convert::Infallible, path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use crate::cri::messages::{
    ContainerMetadata, ContainerStatus, ContainerStatusRequest, ContainerStatusResponse, ImageSpec,
    PodSandboxMetadata, PodSandboxStatus, PodSandboxStatusResponse,
};

/// What a fake runtime does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Answers,
    KnowsNothing,
    Hangs,
    Lies,
    Overflows,
    Refuses,
    Closes,
    Babbles,
}

/// Listens on a path and serves the CRI in this manner.
pub(crate) fn cri(path: &Path, manner: Manner) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            match manner {
                Manner::Closes => drop(stream),
                Manner::Babbles => stream.write_all(&[b'x'; 4096]).await.unwrap_or_default(),
                _ => {
                    let service = service_fn(move |request| answer(request, manner));
                    let server = http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
                }
            }
        }
    });
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, manner: Manner) -> Result<Answer, Infallible> {
    let of_pod = request.uri().path().ends_with("/PodSandboxStatus");
    let question = request.into_body().collect().await.unwrap().to_bytes();
    let ContainerStatusRequest { container_id, .. } = ContainerStatusRequest::decode(&question[5..]).unwrap();
    let (code, message) = match manner {
        Manner::KnowsNothing => (5, Vec::new()),
        Manner::Refuses => (13, Vec::new()),
        _ if of_pod => (0, pod().encode_to_vec()),
        Manner::Lies => (0, container("f".repeat(64)).encode_to_vec()),
        Manner::Overflows => {
            let mut huge = container(container_id);
            huge.info.insert("x".to_owned(), "x".repeat(2 << 20));
            (0, huge.encode_to_vec())
        }
        _ => (0, container(container_id).encode_to_vec()),
    };
    if manner == Manner::Hangs {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    Ok(response(code, &message))
}

/// A message with its length before it, and the status behind it.
fn response(code: u16, message: &[u8]) -> Answer {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = [&[0], length.as_slice(), message].concat();
    let body = if code == 0 { Bytes::from(frame) } else { Bytes::new() };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    let body = Full::new(body).with_trailers(async { Some(Ok(trailers)) }).boxed();
    Response::builder().header(CONTENT_TYPE, "application/grpc").body(body).unwrap()
}

fn container(id: String) -> ContainerStatusResponse {
    let info = r#"{"sandboxID": "5a", "config": {"linux": {"security_context": {"privileged": true}}}}"#;
    let status = ContainerStatus {
        id,
        metadata: Some(ContainerMetadata { name: "web".to_owned() }),
        image: Some(ImageSpec { image: "docker.io/library/nginx:1.27".to_owned() }),
        image_ref: "docker.io/library/nginx@sha256:00ff".to_owned(),
        ..ContainerStatus::default()
    };
    let info = [("info".to_owned(), info.to_owned())].into();
    ContainerStatusResponse { status: Some(status), info }
}

fn pod() -> PodSandboxStatusResponse {
    let metadata =
        PodSandboxMetadata { name: "web-0".to_owned(), uid: "3e41".to_owned(), namespace: "shop".to_owned() };
    let status =
        PodSandboxStatus { id: "5a".to_owned(), metadata: Some(metadata), ..PodSandboxStatus::default() };
    let info = [("info".to_owned(), r#"{"cniResult": {"Interfaces": {}}}"#.to_owned())].into();
    PodSandboxStatusResponse { status: Some(status), info }
}

/// Serves HTTP as Docker does: the same answer to every question, `ID` in it stands for the id asked for.
pub(crate) fn docker(path: &Path, status: &'static str, answer: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = vec![0; 4096];
            let read = stream.read(&mut question).await.unwrap_or(0);
            let question = String::from_utf8_lossy(&question[..read]).into_owned();
            let id = question.split('/').nth(2).unwrap_or_default();
            let body = answer.replace("ID", id);
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap_or_default();
        }
    });
}
