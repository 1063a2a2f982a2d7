//! The order to the nodes, in a ConfigMap that their pods mount.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
};
use saker_audit_setup::order::{ORDER, Order, POLICY, digest};
use saker_crds::{
    AuditSink, AuditSinkSpec,
    audit_sink::{Mode, Restart},
};

use super::control_plane::Node;
use crate::{falco_rule::Context, owner::MANAGER};

/// The ConfigMap.
pub(super) const NAME: &str = "saker-audit-sink";

/// An order with its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) order: Order,
    pub(super) policy: String,
}

/// Names what an AuditSink asks for: anew when its spec changes, or when it is another object.
pub(super) fn revision(sink: &AuditSink) -> String {
    let uid = sink.metadata.uid.as_deref().unwrap_or_default();
    let short = uid.split('-').next().unwrap_or_default();
    format!("{short}-{}", sink.metadata.generation.unwrap_or_default())
}

/// What the spec asks for. A policy that was ordered stays until the spec changes: a new rule must not start API servers
/// again.
pub(super) fn wanted(
    spec: &AuditSinkSpec,
    revision: String,
    present: Option<&Ordered>,
    policy: &str,
    kubeconfig: &str,
) -> Ordered {
    let patch = spec.mode == Mode::Patch;
    let tail = spec.mode == Mode::Tail;
    let log_file = if tail { spec.log_file.clone() } else { String::new() };
    let restart = spec.restart == Restart::Automatic;
    if !patch {
        let order = Order { tail, log_file, restart, ..Order::default() };
        return Ordered { order, policy: String::new() };
    }
    if let Some(present) = present.filter(|present| present.order.patch && present.order.revision == revision)
    {
        return present.clone();
    }
    let order = Order { patch, revision, digest: digest(policy, kubeconfig), restart, ..Order::default() };
    Ordered { order, policy: policy.to_owned() }
}

impl Ordered {
    /// Gives one node its turn: the one that has it, until it is done; then the next. After a failure, which is told,
    /// nothing more is changed; what is there is taken back everywhere all the same.
    pub(super) fn with_turn(mut self, nodes: &[Node], present: Option<&Self>) -> Self {
        let current = present.map_or("", |present| present.order.turn.as_str());
        let mut waiting = nodes.iter().filter(|node| node.has_task(&self.order));
        let first = waiting.clone().next();
        let failed: Vec<_> = nodes.iter().filter_map(|node| node.failure(&self.order)).collect();
        let next = waiting
            .find(|node| node.name == current)
            .or(first)
            .filter(|_| failed.is_empty() || !self.order.patch);
        self.order.turn = next.map(|node| node.name.clone()).unwrap_or_default();
        self.order.failed = failed.join("; ");
        self
    }
}

/// What the ConfigMap says, if it is there and readable.
pub(super) async fn read(client: &Client, namespace: &str) -> anyhow::Result<Option<Ordered>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map =
        api.get_opt(NAME).await.with_context(|| format!("cannot read the ConfigMap {namespace}/{NAME}"))?;
    Ok(map.and_then(|map| {
        let mut data = map.data?;
        let order = serde_json::from_str(data.get(ORDER)?).ok()?;
        Some(Ordered { order, policy: data.remove(POLICY).unwrap_or_default() })
    }))
}

/// Writes it.
pub(super) async fn write(context: &Context, ordered: &Ordered) -> anyhow::Result<()> {
    let Ordered { order, policy } = ordered;
    let data = BTreeMap::from([
        (ORDER.to_owned(), serde_json::to_string(order)?),
        (POLICY.to_owned(), policy.clone()),
    ]);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            owner_references: context.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.namespace);
    let params = PatchParams::apply(MANAGER).force();
    api.patch(NAME, &params, &Patch::Apply(&map)).await.context("cannot write the order to the nodes")?;
    let (turn, patch, tail) = (&order.turn, order.patch, order.tail);
    tracing::info!(turn, patch, tail, revision = order.revision, "order to the nodes written");
    Ok(())
}
