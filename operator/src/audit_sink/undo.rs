//! `--undo-audit`: the AuditSink goes, and the nodes take back what they did for it. The chart runs this before it is
//! removed, because the pods that take it back go with it; the operator, which still runs then, gives the orders.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{Api, Client, api::DeleteParams};
use saker_crds::AuditSink;
use tokio::time::Instant;

use super::{NAME, SOON, order};

/// Less than helm waits. A node sees its order within a minute, and then starts its API server again.
const PATIENCE: Duration = Duration::from_mins(4);

/// Deletes it, and waits until no node has anything left to do.
pub async fn undo(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let deleted = Api::<AuditSink>::all(client.clone()).delete(NAME, &DeleteParams::default()).await;
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => drop(deleted.context("cannot delete the AuditSink")?),
    }
    let start = Instant::now();
    while let Some(left) = left(client, namespace).await? {
        if start.elapsed() > PATIENCE {
            bail!(
                "API servers are not taken back after {PATIENCE:?}: {left}; kubectl -n {namespace} logs -l \
                 app.kubernetes.io/component=audit-setup says why; on a node, saker audit setup --undo does it"
            );
        }
        tokio::time::sleep(SOON).await;
    }
    tracing::info!("no API server is changed any more");
    Ok(())
}

/// What is still to be done.
async fn left(client: &Client, namespace: &str) -> anyhow::Result<Option<String>> {
    let Some(present) = order::read(client, namespace).await? else { return Ok(None) };
    Ok(if present.order.patch {
        Some("the operator has not ordered it".to_owned())
    } else if present.order.turn.is_empty() {
        None
    } else {
        Some(format!("it is the turn of {}", present.order.turn))
    })
}
