//! Step 5: each resource is told what became of it. The status itself is pure; writing it needs the client.

mod status;

use std::collections::HashSet;

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use saker_crds::{FalcoRuleStatus, agent::AgentStatus};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Context, Error, Ledger, MANAGER, Progress, Resource,
    apply::Applied,
    validate::{OUTCOMES, Outcome, Verdict},
};
use crate::{
    agents::Report,
    rollout::{Rollout, cut},
};
use status::{status, with_hits};

/// Bytes of an Event's note.
const MAX_NOTE: usize = 1000;

/// Asks the agents, and writes the statuses that changed.
pub async fn update_status(context: &Context, applied: &mut Applied) -> Result<Progress, Error> {
    let reports = context.agents.ask().await.map_err(Error::AskAgents)?;
    let labels = context.nodes.labels();
    let now = jiff::Timestamp::now();
    let rollout = Rollout { hash: &applied.hash, reports: &reports, labels: &labels, now };
    let mut ledger = context.ledger.lock().await;
    count_hits(&mut ledger, &reports, &applied.verdicts);
    for verdict in &mut applied.verdicts {
        let id = format!("{}/{}", verdict.resource.namespace(), verdict.resource.name());
        let done = write_changes(context, verdict, &rollout, &mut ledger).await;
        done.map_err(|e| Error::UpdateStatus(id, e))?;
    }
    context.nodes.write(&rollout, &mut ledger.pace).await;
    count(context, &applied.verdicts, &rollout);
    Ok(progress(&rollout))
}

fn count_hits(ledger: &mut Ledger, reports: &[Report], verdicts: &[Verdict]) {
    let told = |verdict: &&Verdict| verdict.resource.status().is_some_and(|status| status.hits > Some(0));
    let told: HashSet<_> = verdicts.iter().filter(told).map(|verdict| verdict.file.as_str()).collect();
    ledger.tally.add(reports.iter().filter_map(answer), |file| told.contains(file));
}

fn answer(report: &Report) -> Option<(&str, &AgentStatus)> {
    Some((report.node.as_str(), report.answer.as_ref().ok()?))
}

/// Whatever changed is written at once; figures alone at the pace.
async fn write_changes(
    context: &Context,
    verdict: &mut Verdict,
    rollout: &Rollout<'_>,
    ledger: &mut Ledger,
) -> Result<(), kube::Error> {
    let same = status(verdict, rollout);
    let untold = ledger.tally.untold(&verdict.file);
    let wanted = with_hits(same.clone(), untold, rollout.now);
    let changed = verdict.resource.status() != Some(&same);
    let now = Instant::now();
    if !changed && (wanted == same || !ledger.pace.allows_figures(&verdict.file, now)) {
        return Ok(());
    }
    let figures = wanted != same;
    if write(context, verdict, wanted).await? && figures {
        ledger.pace.wrote(&verdict.file, !changed, now);
        ledger.tally.told(&verdict.file, untold.matches);
    }
    Ok(())
}

/// Whether it is written: what was deleted meanwhile needs no status any more.
async fn write(
    context: &Context,
    verdict: &mut Verdict,
    wanted: FalcoRuleStatus,
) -> Result<bool, kube::Error> {
    let resource = &verdict.resource;
    let (name, kind) = (resource.name(), resource.api_resource());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), resource.namespace(), &kind);
    let patch = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": name, "uid": resource.metadata().uid}, "status": wanted,
    });
    let params = PatchParams::apply(MANAGER).force();
    let written = match api.patch_status(name, &params, &Patch::Apply(&patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(false),
        other => other?,
    };
    context.metrics.status_writes.inc();
    let event = event(verdict, &wanted);
    // What was written is what the next status is compared with, before the watch brings it.
    verdict.resource.set_status(serde_json::from_value(written.data["status"].clone()).ok());
    if let Some(event) = event {
        tell(context, &event, &verdict.resource).await;
    }
    Ok(true)
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
        Outcome::Accepted if was_refused(&verdict.resource) => {
            (EventType::Normal, "Recovered", Some("what was wrong is right now, and it is loaded".to_owned()))
        }
        Outcome::Accepted => (EventType::Normal, "Accepted", None),
        Outcome::Invalid(message) | Outcome::Rejected(message) => {
            (EventType::Warning, "Rejected", Some(cut(message.clone(), MAX_NOTE)))
        }
        Outcome::Expired(end) => (EventType::Normal, "Expired", Some(format!("expired at {end}"))),
        Outcome::Off => return None,
    };
    Some(Event { type_, reason: reason.to_owned(), note, action: "Validate".to_owned(), secondary: None })
}

/// Whether the last thing that was said of it is that it was refused.
fn was_refused(resource: &Resource) -> bool {
    let accepted = resource.status().and_then(|status| status.conditions.first());
    accepted.is_some_and(|condition| condition.status == "False")
}

fn progress(rollout: &Rollout) -> Progress {
    let all = rollout.reports.iter().all(|report| rollout.is_current(report));
    if all { Progress::Converged } else { Progress::Waiting }
}

fn count(context: &Context, verdicts: &[Verdict], rollout: &Rollout) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for outcome in OUTCOMES {
        let count = verdicts.iter().filter(|verdict| verdict.outcome.name() == outcome).count();
        context.metrics.falco_rules.with_label_values(&[outcome]).set(number(count));
    }
    let current = rollout.reports.iter().filter(|report| rollout.is_current(report)).count();
    context.metrics.nodes.set(number(rollout.reports.len()));
    context.metrics.nodes_current.set(number(current));
}
