//! Step 5: each resource is told what became of it. The status itself is pure; writing it needs the client.

mod status;

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
    validate::{OUTCOMES, Outcome, Validated, Verdict, cut},
};
use status::{Rollout, status};

/// Bytes of an Event's note.
const MAX_NOTE: usize = 1000;

/// Asks the agents, and writes the statuses that changed.
pub async fn update_status(context: &Context, applied: &mut Applied) -> Result<Progress, Error> {
    let reports = context.agents.ask().await.map_err(Error::AskAgents)?;
    let rollout = Rollout { hash: &applied.hash, reports: &reports, now: jiff::Timestamp::now() };
    for verdict in &mut applied.validated.verdicts {
        let wanted = status(verdict, &rollout);
        if verdict.resource.status() != Some(&wanted) {
            let id = format!("{}/{}", verdict.resource.namespace(), verdict.resource.name());
            write(context, verdict, wanted).await.map_err(|e| Error::UpdateStatus(id, e))?;
        }
    }
    count(context, &applied.validated, &rollout);
    Ok(progress(&rollout))
}

/// What was deleted meanwhile needs no status any more.
async fn write(context: &Context, verdict: &mut Verdict, wanted: FalcoRuleStatus) -> Result<(), kube::Error> {
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
        other => other?,
    };
    context.metrics.status_writes.inc();
    let event = event(verdict, &wanted);
    // What was written is what the next status is compared with, before the watch brings it.
    verdict.resource.set_status(serde_json::from_value(written.data["status"].clone()).ok());
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

fn progress(rollout: &Rollout) -> Progress {
    let all = rollout.reports.iter().all(|report| rollout.is_current(report));
    if all { Progress::Converged } else { Progress::Waiting }
}

fn count(context: &Context, validated: &Validated, rollout: &Rollout) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for outcome in OUTCOMES {
        let count = validated.verdicts.iter().filter(|verdict| verdict.outcome.name() == outcome).count();
        context.metrics.falco_rules.with_label_values(&[outcome]).set(number(count));
    }
    let current = rollout.reports.iter().filter(|report| rollout.is_current(report)).count();
    context.metrics.nodes.set(number(rollout.reports.len()));
    context.metrics.nodes_current.set(number(current));
}
