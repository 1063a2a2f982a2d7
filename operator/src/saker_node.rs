//! SakerNodes: what each node runs, one object per node. They are owned by their nodes and go with them; no finalizer
//! keeps a node that is gone. Only the operator writes them, at most once a minute each.

mod status;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use saker_crds::{SakerNode, SakerNodeStatus};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    agents::Report,
    held::Held,
    owner::MANAGER,
    pace::Pace,
    rollout::{Labels, Rollout},
};

/// Objects written at the same time.
const CONCURRENCY: usize = 16;

/// The nodes of the cluster, and what is said about them.
pub struct Nodes {
    /// The API.
    pub client: Client,
    /// Name, labels and identity of each node.
    pub known: Store<PartialObjectMeta<Node>>,
    /// What was written, as the watch last saw it.
    pub written: Store<SakerNode>,
}

/// A SakerNode that must change.
struct Change {
    node: Arc<PartialObjectMeta<Node>>,
    /// Whether the object is there already.
    known: bool,
    status: SakerNodeStatus,
    /// Nothing but figures changed.
    figures: bool,
}

impl Nodes {
    /// The labels of every node.
    pub(crate) fn labels(&self) -> Labels {
        let nodes = self.known.state();
        nodes.iter().map(|node| (node.name_any(), node.labels().clone())).collect()
    }

    /// Writes what changed, as far as the pace allows. What fails is tried again a minute later.
    pub(crate) async fn write(&self, rollout: &Rollout<'_>, pace: &mut Pace, held: &mut Held) {
        // Before the first whole list nobody knows what is there.
        let ready =
            [self.known.wait_until_ready().now_or_never(), self.written.wait_until_ready().now_or_never()];
        if !ready.iter().all(|ready| matches!(ready, Some(Ok(())))) {
            return;
        }
        let changes = self.changes(rollout, pace, held);
        let results = stream::iter(changes).map(|change| self.apply(change)).buffer_unordered(CONCURRENCY);
        let failed = results.filter_map(|result| std::future::ready(result.err()));
        if let Some(e) = failed.collect::<Vec<_>>().await.first() {
            tracing::warn!(
                "cannot write what runs on the nodes (are the CRD and the rights for sakernodes there?): {e}"
            );
        }
    }

    fn changes(&self, rollout: &Rollout<'_>, pace: &mut Pace, held: &mut Held) -> Vec<Change> {
        let silent =
            |node: &str| Report { node: node.to_owned(), answer: Err("no agent runs there".to_owned()) };
        let gone = self.written.state().into_iter().map(|written| written.name_any());
        let gone = gone.filter(|node| rollout.reports.iter().all(|report| report.node != *node));
        let gone: Vec<_> = gone.map(|node| silent(&node)).collect();
        let reports = rollout.reports.iter().chain(&gone);
        reports.filter_map(|report| self.change(report, rollout, pace, held)).collect()
    }

    fn change(
        &self,
        report: &Report,
        rollout: &Rollout<'_>,
        pace: &mut Pace,
        held: &mut Held,
    ) -> Option<Change> {
        // An agent outside of the cluster is on no node.
        let node = self.known.get(&ObjectRef::new(&report.node))?;
        let written = self.written.get(&ObjectRef::new(&report.node));
        let old = written.as_ref().and_then(|written| written.status.clone());
        let status = status::status(report, rollout, old.as_ref());
        let figures = match &old {
            Some(old) if *old == status => return None,
            Some(old) => SakerNodeStatus { lost: old.lost, ..status.clone() } == *old,
            None => false,
        };
        let (id, now) = (format!("node {}", report.node), Instant::now());
        // A node that takes a bundle over is written when it has it.
        if !held.lasts(&id, rollout.is_on_its_way(report), now) {
            return None;
        }
        let allowed = if figures { pace.allows_figures(&id, now) } else { pace.allows(&id, now) };
        allowed.then(|| {
            pace.wrote(&id, figures, now);
            Change { node, known: written.is_some(), status, figures }
        })
    }

    async fn apply(&self, change: Change) -> kube::Result<()> {
        let Change { node, known, status, figures } = change;
        let (api, name) = (Api::<SakerNode>::all(self.client.clone()), node.name_any());
        let params = PatchParams::apply(MANAGER).force();
        if !known {
            api.patch(&name, &params, &Patch::Apply(owned(&node))).await?;
        }
        let patch = json!({
            "apiVersion": "saker.dev/v1alpha1", "kind": "SakerNode", "metadata": {"name": name}, "status": status,
        });
        api.patch_status(&name, &params, &Patch::Apply(patch)).await?;
        tracing::debug!(name, figures, "wrote what runs on a node");
        Ok(())
    }
}

/// The object, so that it goes with its node.
fn owned(node: &PartialObjectMeta<Node>) -> serde_json::Value {
    let owner = json!({"apiVersion": "v1", "kind": "Node", "name": node.name_any(), "uid": node.uid()});
    json!({
        "apiVersion": "saker.dev/v1alpha1",
        "kind": "SakerNode",
        "metadata": {
            "name": node.name_any(),
            "ownerReferences": [owner],
            "labels": {"app.kubernetes.io/name": "saker", "app.kubernetes.io/managed-by": MANAGER},
        },
        "spec": {},
    })
}
