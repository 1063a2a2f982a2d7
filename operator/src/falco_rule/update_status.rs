//! Step 5: each resource is told what became of it. The status itself is pure; writing it needs the client.

mod status;

pub(super) use status::ON_ITS_WAY;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use saker_crds::FalcoRuleStatus;
use serde_json::json;

use super::{
    Context, Error, MANAGER, Progress, Resource,
    apply::Applied,
    memory::Memory,
    validate::{OUTCOMES, Outcome, Verdict, cut},
};
use crate::agents::Report;
use status::{Rollout, is_current, status};

/// Statuses on their way at once.
const WRITES: usize = 8;
/// Bytes of an Event's note.
const MAX_NOTE: usize = 1000;

/// Asks the agents, and writes the statuses that are due.
pub async fn update_status(context: &Context, applied: &mut Applied) -> Result<Progress, Error> {
    let reports = context.agents.ask().await.map_err(Error::AskAgents)?;
    let progress = count(context, applied, &reports);
    let due = due(&mut context.memory(), applied, &reports);
    let mut writes = stream::iter(due.into_iter().map(|(verdict, wanted)| write(context, verdict, wanted)))
        .buffer_unordered(WRITES);
    // One that fails does not keep the others from theirs.
    let mut failed = None;
    while let Some(written) = writes.next().await {
        failed = failed.or(written.err());
    }
    failed.map_or(Ok(progress), Err)
}

/// The statuses to be written now.
fn due<'a>(
    memory: &mut Memory,
    applied: &'a mut Applied,
    reports: &[Report],
) -> Vec<(&'a mut Verdict, FalcoRuleStatus)> {
    let Memory { shipped, pace } = memory;
    let rollout = Rollout { hash: &applied.hash, reports, shipped, now: jiff::Timestamp::now() };
    let (mut due, now) = (Vec::new(), Instant::now());
    for verdict in &mut applied.validated.verdicts {
        let wanted = status(verdict, &rollout);
        if pace.is_due(&verdict.file, verdict.resource.status(), &wanted, now) {
            due.push((verdict, wanted));
        }
    }
    due
}

/// What was deleted meanwhile needs no status any more.
async fn write(context: &Context, verdict: &mut Verdict, wanted: FalcoRuleStatus) -> Result<(), Error> {
    let resource = &verdict.resource;
    let (name, kind) = (resource.name(), resource.api_resource());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), resource.namespace(), &kind);
    let patch = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": name, "uid": resource.metadata().uid}, "status": wanted,
    });
    let params = PatchParams::apply(MANAGER).force();
    let written = match api.patch_status(name, &params, &Patch::Apply(&patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
        other => other.map_err(|e| Error::UpdateStatus(format!("{}/{name}", resource.namespace()), e))?,
    };
    context.metrics.status_writes.inc();
    let event = event(verdict, &wanted);
    // What was written is what the next status is compared with, before the watch brings it.
    let status: Option<FalcoRuleStatus> = serde_json::from_value(written.data["status"].clone()).ok();
    context.memory().pace.wrote(&verdict.file, written.metadata.resource_version.as_deref(), status.clone());
    verdict.resource.set_status(status);
    if let Some(event) = event {
        tell(context, &event, &verdict.resource).await;
    }
    Ok(())
}

/// The status says the same; an Event that cannot be published is not worth a second try.
async fn tell(context: &Context, event: &Event, resource: &Resource) {
    if let Err(e) = context.recorder.publish(event, &resource.object_ref()).await {
        tracing::warn!("cannot publish an Event about {}: {e}", resource.name());
    }
}

/// An Event when a resource is accepted, rejected or over, not when it stays so.
fn event(verdict: &Verdict, wanted: &FalcoRuleStatus) -> Option<Event> {
    let told =
        |status: &FalcoRuleStatus| status.conditions.first().map(|c| (c.reason.clone(), c.message.clone()));
    if verdict.resource.status().and_then(told) == told(wanted) {
        return None;
    }
    let (type_, reason, note) = match &verdict.outcome {
        Outcome::Accepted => (EventType::Normal, "Accepted", None),
        Outcome::Rejected(message) => (EventType::Warning, "Rejected", Some(cut(message.clone(), MAX_NOTE))),
        Outcome::Expired(end) => (EventType::Normal, "Expired", Some(format!("expired at {end}"))),
        Outcome::Disabled => return None,
    };
    Some(Event { type_, reason: reason.to_owned(), note, action: "Validate".to_owned(), secondary: None })
}

fn count(context: &Context, applied: &Applied, reports: &[Report]) -> Progress {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for outcome in OUTCOMES {
        let verdicts = applied.validated.verdicts.iter();
        let count = verdicts.filter(|verdict| verdict.outcome.name() == outcome).count();
        context.metrics.falco_rules.with_label_values(&[outcome]).set(number(count));
    }
    let current = reports.iter().filter(|report| is_current(report, &applied.hash)).count();
    context.metrics.nodes.set(number(reports.len()));
    context.metrics.nodes_current.set(number(current));
    if current == reports.len() { Progress::Converged } else { Progress::Waiting }
}
