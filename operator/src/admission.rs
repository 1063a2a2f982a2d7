//! The validating webhook: `kubectl apply` of a FalcoRule is answered with what its author would otherwise find in the
//! status. The API server goes on without it when it is away (`failurePolicy: Ignore`), and the reconcile checks again.

mod certificate;
mod register;
mod serve;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, runtime::reflector::Store};
use saker_crds::{FalcoRule, FalcoRuleException};

use crate::{falco_rule::Compiler, metrics::Metrics};
use certificate::Certificates;
pub(crate) use certificate::valid;

/// Path of the webhook.
pub const PATH: &str = "validate";
/// How often the certificate and the registration are looked at.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// What the webhook works with.
pub struct Admission {
    /// The API.
    pub client: Client,
    /// Where the certificate's Secret and the Service are.
    pub namespace: String,
    /// Where the API server reaches it, if not by the Service.
    pub address: Option<SocketAddr>,
    /// What it judges by.
    pub knowledge: Knowledge,
    /// Where the end of the certificate is told.
    pub metrics: Arc<Metrics>,
}

/// What objects are judged by.
#[derive(Clone)]
pub struct Knowledge {
    /// Every FalcoRule, as the watch last saw them.
    pub rules: Store<FalcoRule>,
    /// Every FalcoRuleException, likewise.
    pub exceptions: Store<FalcoRuleException>,
    /// Checks rules.
    pub compiler: Arc<Compiler>,
}

/// Listens, and serves until the process ends.
pub async fn start(admission: Admission, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {listen}: choose another with --webhook-listen"))?;
    tracing::info!(%listen, "serving the admission webhook");
    let certificates = Arc::new(Certificates::default());
    let tls = Arc::clone(&certificates);
    tokio::spawn(serve::serve(listener, tls, admission.knowledge.clone()));
    tokio::spawn(async move { keep_registered(&admission, &certificates).await });
    Ok(())
}

/// Keeps a valid certificate in use, and the API server told about it.
async fn keep_registered(admission: &Admission, certificates: &Certificates) {
    loop {
        let pause = match register(admission, certificates).await {
            Ok(()) => LOOK_AGAIN,
            Err(e) => {
                tracing::warn!("FalcoRules are not checked at admission, only in their status: {e:#}");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn register(admission: &Admission, certificates: &Certificates) -> anyhow::Result<()> {
    let Admission { client, namespace, address, .. } = admission;
    let issued = certificate::keep(client, namespace, address.map(|a| a.ip())).await?;
    certificates.install(&issued)?;
    admission.metrics.certificate_expiry.set(issued.until.as_second());
    register::register(client, namespace, *address, &issued.ca).await
}
