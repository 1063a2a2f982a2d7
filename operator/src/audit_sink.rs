//! The AuditSink: what the API servers need to send their events, and whether they do. The operator reaches no host: the
//! agents tell what they see beside them, and a node does what the order in a ConfigMap says when it is its turn.

mod certificates;
mod control_plane;
mod knowledge;
mod order;
mod status;
mod undo;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use saker_crds::{
    AuditSink, AuditSinkSpec, AuditSinkStatus,
    audit_sink::{Mode, Restart},
};
use serde_json::json;

use crate::{falco_rule::Context, leader::Leadership, owner::MANAGER};
use control_plane::nodes;
use knowledge::Knowledge;
use order::Ordered;
use status::Facts;
pub use undo::undo;

/// The Service that leads an API server to the agent of its own node, and its port.
const SERVICE: &str = "saker-audit";
const PORT: u16 = 8766;
/// The one AuditSink.
const NAME: &str = "cluster";
/// How often the nodes are looked at.
const PAUSE: Duration = Duration::from_secs(10);
/// How often while one of them is being changed.
const SOON: Duration = Duration::from_secs(1);

/// What it works with beside the context.
pub struct AuditSinks {
    /// Where an API server reaches the agent beside it, if not by the Service.
    pub endpoint: Option<String>,
}

impl AuditSinks {
    /// The API server does not use the cluster's DNS, so the Service's address it is.
    async fn endpoint(&self, context: &Context) -> anyhow::Result<String> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let services: Api<Service> = Api::namespaced(context.client.clone(), &context.namespace);
        let service = services.get(SERVICE).await;
        let service =
            service.with_context(|| format!("cannot read the Service {SERVICE}, which the chart makes"))?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).and_then(|ip| ip.parse().ok());
        let address = address.with_context(|| format!("the Service {SERVICE} has no address"))?;
        Ok(format!("https://{}/k8s-audit", SocketAddr::new(address, PORT)))
    }
}

/// Keeps the order and the status up to date as long as this process is the one that writes.
pub async fn keep(context: &Context, sinks: &AuditSinks, leadership: &Leadership) {
    let mut knowledge = Knowledge::default();
    let mut changes = changes(&context.client);
    while leadership.holds() {
        let pause = match reconcile(context, sinks, &mut knowledge).await {
            Ok(pause) => pause,
            Err(e) => {
                context.metrics.errors.with_label_values(&["audit_sink"]).inc();
                tracing::warn!("the AuditSink is not up to date, trying again: {e:#}");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = changes.next() => {}
        }
    }
}

/// What somebody, this operator too, does to the AuditSink: it is looked at anew at once.
fn changes(client: &Client) -> impl Stream {
    let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    Box::pin(watcher(Api::<AuditSink>::all(client.clone()), only).default_backoff())
}

/// One round; how long to wait for the next.
async fn reconcile(
    context: &Context,
    sinks: &AuditSinks,
    knowledge: &mut Knowledge,
) -> anyhow::Result<Duration> {
    let sink = Api::<AuditSink>::all(context.client.clone()).get_opt(NAME).await.context("cannot read it")?;
    let sink = sink.filter(|sink| sink.metadata.deletion_timestamp.is_none());
    let present = order::read(&context.client, &context.namespace).await?;
    if sink.is_none() {
        context.metrics.tell_audit_sink(&[]);
    }
    if sink.is_none() && present.is_none() {
        return Ok(PAUSE);
    }
    let spec = sink.as_ref().map_or_else(|| gone(present.as_ref()), |sink| sink.spec.clone());
    let endpoint = sinks.endpoint(context).await?;
    let issued = certificates::keep(&context.client, &context.namespace, &endpoint).await?;
    let nodes = nodes(context.agents.ask().await.context("cannot find the agents")?);
    if sink.is_some() {
        // What it takes to undo does not depend on the rules.
        knowledge.update(context, nodes.iter().filter_map(|node| node.server.policy.as_deref())).await?;
    }
    let revision = sink.as_ref().map(order::revision).unwrap_or_default();
    let wanted = order::wanted(&spec, revision, present.as_ref(), knowledge.policy(), &issued.kubeconfig);
    let wanted = wanted.with_turn(&nodes, present.as_ref());
    if present.as_ref() != Some(&wanted) {
        order::write(context, &wanted).await?;
    }
    if let Some(sink) = &sink {
        let facts = Facts {
            sink,
            nodes: &nodes,
            order: &wanted.order,
            knowledge,
            issued: &issued,
            namespace: &context.namespace,
        };
        let status = facts.status(jiff::Timestamp::now());
        context.metrics.tell_audit_sink(&status.conditions);
        update_status(context, sink, status).await?;
    }
    Ok(if wanted.order.turn.is_empty() { PAUSE } else { SOON })
}

/// What an AuditSink that is gone asks for: nothing, and k3s may still be started again if it might before.
fn gone(present: Option<&Ordered>) -> AuditSinkSpec {
    let restarts = present.is_some_and(|present| present.order.restart);
    let restart = if restarts { Restart::Automatic } else { Restart::Manual };
    AuditSinkSpec { mode: Mode::Off, restart, ..AuditSinkSpec::default() }
}

/// Writes the status if it says something else than before.
async fn update_status(context: &Context, sink: &AuditSink, wanted: AuditSinkStatus) -> anyhow::Result<()> {
    if sink.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let api = Api::<AuditSink>::all(context.client.clone());
    let patch = json!({
        "apiVersion": "saker.dev/v1alpha1", "kind": "AuditSink",
        "metadata": {"name": NAME, "uid": sink.metadata.uid}, "status": wanted,
    });
    match api.patch_status(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        written => {
            context.metrics.status_writes.inc();
            written.map(|_| ()).context("cannot write the status of the AuditSink")
        }
    }
}

#[cfg(test)]
mod tests;
