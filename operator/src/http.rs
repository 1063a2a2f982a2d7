//! `/healthz` and `/metrics`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use warp::{Filter, Reply, http::StatusCode};

use crate::metrics::Metrics;

/// Listens, and serves until the process ends.
pub async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {address}: choose another with --listen"))?;
    tracing::info!(%address, "serving /healthz and /metrics");
    tokio::spawn(warp::serve(routes(metrics)).incoming(listener).run());
    Ok(())
}

fn routes(metrics: Arc<Metrics>) -> impl Filter<Extract = (impl Reply,), Error = warp::Rejection> + Clone {
    let healthz = warp::path!("healthz").map(|| "ok".into_response());
    let metrics = warp::path!("metrics").map(move || match metrics.text() {
        Ok(text) => warp::reply::with_header(text, "content-type", prometheus::TEXT_FORMAT).into_response(),
        Err(e) => warp::reply::with_status(e.to_string(), StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    });
    warp::get().and(healthz.or(metrics).unify())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn health_and_metrics_are_served() {
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.reconciles.inc();
        let routes = routes(metrics);
        let health = warp::test::request().path("/healthz").reply(&routes).await;
        assert_eq!((health.status().as_u16(), health.body().as_ref()), (200, b"ok".as_ref()));
        let text = warp::test::request().path("/metrics").reply(&routes).await;
        let text = String::from_utf8(text.body().to_vec()).unwrap();
        assert!(text.contains("saker_operator_reconciles_total 1"), "{text}");
        assert_eq!(warp::test::request().path("/other").reply(&routes).await.status().as_u16(), 404);
    }
}
