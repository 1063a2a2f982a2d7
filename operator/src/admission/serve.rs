//! Answers AdmissionReviews over HTTPS.

use std::{sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use kube::{
    core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
    runtime::reflector::Store,
};
use saker_crds::FalcoRule;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::{PATH, certificate::Certificates};
use crate::falco_rule::{Admission, Compiler, admit};

/// Bytes of a review: an object of etcd's 1.5 MiB, twice (the old one comes too), and what is around them.
const MAX_BODY: u64 = 4 << 20;
/// Connections at once; the API server needs few.
const MAX_CONNECTIONS: usize = 64;
/// For the handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    rules: Store<FalcoRule>,
    compiler: Arc<Compiler>,
) {
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let routes = routes(rules, compiler);
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

fn routes(
    rules: Store<FalcoRule>,
    compiler: Arc<Compiler>,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    warp::path(PATH)
        .and(warp::path::end())
        .and(warp::post())
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::json())
        .then(move |review| answer(review, rules.clone(), Arc::clone(&compiler)))
}

async fn answer(
    review: AdmissionReview<FalcoRule>,
    rules: Store<FalcoRule>,
    compiler: Arc<Compiler>,
) -> Response {
    let Ok(request): Result<AdmissionRequest<_>, _> = review.try_into() else {
        return warp::reply::with_status("no request in the review", StatusCode::BAD_REQUEST).into_response();
    };
    // Compiling is work for a thread of its own: health checks and the reconcile go on meanwhile.
    let response = tokio::task::spawn_blocking(move || respond(&request, &rules, &compiler)).await;
    match response {
        Ok(response) => warp::reply::json(&response.into_review()).into_response(),
        Err(e) => warp::reply::with_status(e.to_string(), StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    }
}

fn respond(
    request: &AdmissionRequest<FalcoRule>,
    rules: &Store<FalcoRule>,
    compiler: &Compiler,
) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(mut candidate) = request.object.clone() else { return response };
    candidate.metadata.namespace.clone_from(&request.namespace);
    let Admission { refusal, warnings } = admit(compiler, rules.state(), candidate);
    let mut response = match refusal {
        Some(reason) => response.deny(reason),
        None => response,
    };
    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    response
}
