//! `/healthz` and `/metrics`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use warp::{Filter, Reply, http::StatusCode};

use crate::metrics::Metrics;

/// Listens, and serves until the process ends; gives back the address, for port 0 means any.
pub async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {address}: choose another with --listen"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving /healthz and /metrics");
    tokio::spawn(warp::serve(routes(metrics)).incoming(listener).run());
    Ok(address)
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
    use crate::agents::http_client;

    #[tokio::test]
    async fn health_and_metrics_are_served() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.reconciles.inc();
        let address = serve(([127, 0, 0, 1], 0).into(), metrics).await.unwrap();
        let get = async |path: &str| {
            let answer = http_client().unwrap().get(format!("http://{address}{path}")).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        assert_eq!(get("/healthz").await, (200, "ok".to_owned()));
        let (_, text) = get("/metrics").await;
        assert!(text.contains("saker_operator_reconciles_total 1"), "{text}");
        assert_eq!(get("/other").await.0, 404);
        let taken = serve(address, Arc::new(Metrics::new().unwrap())).await.unwrap_err();
        assert!(format!("{taken:#}").contains("--listen"), "{taken:#}");
    }
}
