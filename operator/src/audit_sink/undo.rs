//! `--undo-audit`: the AuditSink goes, and the nodes take back what they did for it. The chart runs this before it is
//! removed, because the pods that take it back go with it; the operator, which still runs then, gives the orders.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{Api, Client, api::DeleteParams};
use saker_audit_setup::order::Order;
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
    loop {
        let present = order::read(client, namespace).await?;
        match present.map_or(Undone::Yes, |present| Undone::of(&present.order)) {
            Undone::Yes => break,
            Undone::NotYet(what) if start.elapsed() > PATIENCE => bail!(advice(namespace, &what)),
            Undone::NotYet(_) => tokio::time::sleep(SOON).await,
            Undone::No(why) => bail!(advice(namespace, &why)),
        }
    }
    tracing::info!("no API server is changed any more");
    Ok(())
}

fn advice(namespace: &str, why: &str) -> String {
    format!(
        "not every API server is taken back: {why}; kubectl -n {namespace} logs -l \
         app.kubernetes.io/component=audit-setup says more; on a node, saker audit setup --undo does it"
    )
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
enum Undone {
    Yes,
    NotYet(String),
    No(String),
}

impl Undone {
    fn of(order: &Order) -> Self {
        if order.patch {
            Self::NotYet("the operator has not ordered it".to_owned())
        } else if !order.turn.is_empty() {
            Self::NotYet(format!("it is the turn of {}", order.turn))
        } else if !order.failed.is_empty() {
            Self::No(order.failed.clone())
        } else {
            Self::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_when_no_node_has_anything_to_do_and_none_failed() {
        let check = |patch, turn: &str, failed: &str, wanted| {
            let order = Order { patch, turn: turn.to_owned(), failed: failed.to_owned(), ..Order::default() };
            assert_eq!(Undone::of(&order), wanted, "{order:?}");
        };
        check(false, "", "", Undone::Yes);
        check(false, "a", "", Undone::NotYet("it is the turn of a".to_owned()));
        check(false, "b", "a: why", Undone::NotYet("it is the turn of b".to_owned()));
        check(true, "", "", Undone::NotYet("the operator has not ordered it".to_owned()));
        check(true, "", "a: why", Undone::NotYet("the operator has not ordered it".to_owned()));
        check(false, "", "a: why", Undone::No("a: why".to_owned()));
    }
}
