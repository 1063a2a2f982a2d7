//! Step 5: each resource is told what became of it. The status itself is pure; writing it needs the client.

mod status;

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use saker_crds::{FalcoRuleStatus, agent::AgentStatus};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Context, Error, Ledger, Progress, Resource,
    apply::Applied,
    validate::{OUTCOMES, Outcome, Verdict},
};
use crate::{
    agents::Report,
    held::Held,
    owner::MANAGER,
    pace::Pace,
    rollout::{Rollout, cut},
    tally::Tally,
};
use status::{status, with_hits};

/// Statuses on their way at once.
const WRITES: usize = 16;

/// Bytes of an Event's note.
const MAX_NOTE: usize = 1000;

/// A status to be written.
struct Due<'a> {
    verdict: &'a mut Verdict,
    wanted: FalcoRuleStatus,
    /// Matches that it tells for the first time.
    matches: u64,
}

/// Asks the agents, and writes the statuses that are due.
pub async fn update_status(context: &Context, applied: &mut Applied) -> Result<Progress, Error> {
    let reports = context.agents.ask().await.map_err(Error::AskAgents)?;
    let labels = context.nodes.labels();
    let ledger = &mut *context.ledger.lock().await;
    count_hits(ledger, &reports, &applied.verdicts);
    let Ledger { tally, pace, held, shipped } = ledger;
    let now = jiff::Timestamp::now();
    let rollout = Rollout { hash: &applied.hash, reports: &reports, labels: &labels, shipped, now };
    count(context, &applied.verdicts, &rollout);
    let due = due(&mut applied.verdicts, &rollout, (tally, pace, held));
    let mut writes = stream::iter(due.into_iter().map(|due| write(context, due))).buffer_unordered(WRITES);
    // One that fails does not keep the others from theirs.
    let mut failed = None;
    while let Some(written) = writes.next().await {
        match written {
            Ok(written) => take_note(written, tally, held),
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    context.nodes.write(&rollout, pace, held).await;
    context.unreadable.tell(&context.client).await;
    failed.map_or_else(|| Ok(progress(&rollout)), Err)
}

/// What somebody waits for is due at once, other nodes when they last, figures alone at the pace.
fn due<'a>(
    verdicts: &'a mut [Verdict],
    rollout: &Rollout<'_>,
    (tally, pace, held): (&Tally, &mut Pace, &mut Held),
) -> Vec<Due<'a>> {
    let (mut due, now) = (Vec::new(), Instant::now());
    for verdict in verdicts {
        let same = status(verdict, rollout);
        let untold = tally.untold(&verdict.file);
        let wanted = with_hits(same.clone(), untold, rollout.now);
        let changed = held.is_due(&verdict.file, verdict.resource.status(), &same, now);
        let figures = wanted != same;
        if changed || figures && pace.allows_figures(&verdict.file, now) {
            if figures {
                pace.wrote(&verdict.file, !changed, now);
            }
            due.push(Due { verdict, wanted, matches: untold.matches });
        }
    }
    due
}

fn take_note(written: Option<Written<'_>>, tally: &mut Tally, held: &mut Held) {
    let Some(Written { file, matches, version, status }) = written else { return };
    tally.told(file, matches);
    held.wrote(file, version.as_deref(), status);
}

fn count_hits(ledger: &mut Ledger, reports: &[Report], verdicts: &[Verdict]) {
    let told = |verdict: &&Verdict| verdict.resource.status().is_some_and(|status| status.hits > Some(0));
    let told: HashSet<_> = verdicts.iter().filter(told).map(|verdict| verdict.file.as_str()).collect();
    ledger.tally.add(reports.iter().filter_map(answer), |file| told.contains(file));
}

fn answer(report: &Report) -> Option<(&str, &AgentStatus)> {
    Some((report.node.as_str(), report.answer.as_ref().ok()?))
}

/// What was written.
struct Written<'a> {
    file: &'a str,
    matches: u64,
    version: Option<String>,
    status: Option<FalcoRuleStatus>,
}

/// Nothing if it was deleted meanwhile: then it needs no status any more.
async fn write<'a>(context: &Context, due: Due<'a>) -> Result<Option<Written<'a>>, Error> {
    let Due { verdict, wanted, matches } = due;
    let resource = &verdict.resource;
    let (name, kind) = (resource.name(), resource.api_resource());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), resource.namespace(), &kind);
    let patch = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": name, "uid": resource.metadata().uid}, "status": wanted,
    });
    let params = PatchParams::apply(MANAGER).force();
    let written = match api.patch_status(name, &params, &Patch::Apply(&patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(None),
        other => other.map_err(|e| Error::UpdateStatus(format!("{}/{name}", resource.namespace()), e))?,
    };
    context.metrics.status_writes.inc();
    let event = event(verdict, &wanted);
    // What was written is what the next status is compared with, before the watch brings it.
    let status: Option<FalcoRuleStatus> = serde_json::from_value(written.data["status"].clone()).ok();
    verdict.resource.set_status(status.clone());
    if let Some(event) = event {
        tell(context, &event, &verdict.resource).await;
    }
    Ok(Some(Written { file: &verdict.file, matches, version: written.metadata.resource_version, status }))
}

/// The status says the same; an Event that cannot be published is not worth a second try.
async fn tell(context: &Context, event: &Event, resource: &Resource) {
    if let Err(e) = context.recorder.publish(event, &resource.object_ref()).await {
        tracing::warn!("cannot publish an Event about {}: {e}", resource.name());
    }
}

/// An Event when a resource is rejected, right again or over, not when it stays so.
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
        Outcome::Invalid(message) | Outcome::Rejected(message) => {
            (EventType::Warning, "Rejected", Some(cut(message.clone(), MAX_NOTE)))
        }
        Outcome::Expired(end) => (EventType::Normal, "Expired", Some(format!("expired at {end}"))),
        // That all is well is no event; the status says so.
        Outcome::Accepted | Outcome::Off => return None,
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
