//! Answers AdmissionReviews over HTTPS.

use std::{sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use kube::{
    api::DynamicObject,
    core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use saker_crds::{FalcoRule, FalcoRuleException};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::{Knowledge, PATH, certificate::Certificates};
use crate::falco_rule::{Admission, Resource, admit, resources};

/// Bytes of a review: an object of etcd's 1.5 MiB, twice (the old one comes too), and what is around them.
const MAX_BODY: u64 = 4 << 20;
/// Connections at once; the API server needs few.
const MAX_CONNECTIONS: usize = 64;
/// Reviews that compile at once: each takes the memory of all rules.
const MAX_COMPILING: usize = 2;
/// For the handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, certificates: Arc<Certificates>, knowledge: Knowledge) {
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let routes = routes(knowledge);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                tokio::spawn(async move {
                    connection(stream, &acceptor, routes).await;
                    drop(place);
                });
            }
            Err(e) => {
                tracing::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection<F>(stream: TcpStream, acceptor: &TlsAcceptor, routes: F)
where
    F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(warp::service(routes)));
    if let Err(e) = served.await {
        tracing::debug!("a connection of the webhook ended: {e}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length is limited before: hyper reads no more than was announced, and 411 answers who announces none"
)]
fn routes(knowledge: Knowledge) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    let places = Arc::new(Semaphore::new(MAX_COMPILING));
    warp::path(PATH)
        .and(warp::path::end())
        .and(warp::post())
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::json())
        .then(move |review| answer(review, knowledge.clone(), Arc::clone(&places)))
}

async fn answer(
    review: AdmissionReview<DynamicObject>,
    knowledge: Knowledge,
    places: Arc<Semaphore>,
) -> Response {
    let Ok(request): Result<AdmissionRequest<_>, _> = review.try_into() else {
        return warp::reply::with_status("no request in the review", StatusCode::BAD_REQUEST).into_response();
    };
    // An error would say that the semaphore is closed, which it never is.
    let _place = places.acquire().await;
    // Compiling is work for a thread of its own: health checks and the reconcile go on meanwhile.
    let response = tokio::task::spawn_blocking(move || respond(&request, &knowledge)).await;
    match response {
        Ok(response) => warp::reply::json(&response.into_review()).into_response(),
        Err(e) => warp::reply::with_status(e.to_string(), StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    }
}

fn respond(request: &AdmissionRequest<DynamicObject>, knowledge: &Knowledge) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let candidate = match candidate(request) {
        Ok(Some(candidate)) => candidate,
        Ok(None) => return response,
        Err(e) => return response.deny(format!("not a {}: {e}", request.kind.kind)),
    };
    let present = resources(&knowledge.rules, &knowledge.exceptions, knowledge.compiler.tenancy());
    let now = jiff::Timestamp::now();
    let Admission { refusal, warnings } = admit(&knowledge.compiler, present, &candidate, now);
    let mut response = match refusal {
        Some(reason) => response.deny(reason),
        None => response,
    };
    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    response
}

/// The object that is to be judged; nothing if it is none of ours.
fn candidate(request: &AdmissionRequest<DynamicObject>) -> Result<Option<Resource>, serde_json::Error> {
    let Some(object) = &request.object else { return Ok(None) };
    let mut object = serde_json::to_value(object)?;
    if let Some(namespace) = &request.namespace {
        object["metadata"]["namespace"] = namespace.clone().into();
    }
    Ok(match request.kind.kind.as_str() {
        "FalcoRule" => Some(Resource::Rule(Arc::new(serde_json::from_value::<FalcoRule>(object)?))),
        "FalcoRuleException" => {
            Some(Resource::Exception(Arc::new(serde_json::from_value::<FalcoRuleException>(object)?)))
        }
        _ => None,
    })
}
