//! Step 5: each FalcoRule is told what became of it. The status itself is pure; writing it needs the client.

mod status;

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use saker_crds::{FalcoRule, FalcoRuleStatus};
use serde_json::json;

use super::{
    Context, Error, MANAGER, Progress,
    apply::Applied,
    validate::{Outcome, Validated, Verdict, cut},
};
use crate::agents::Report;
use status::{Rollout, status};

/// Bytes of an Event's note.
const MAX_NOTE: usize = 1000;

/// Asks the agents, and writes the statuses that changed.
pub(super) async fn update_status(context: &Context, applied: Applied) -> Result<Progress, Error> {
    let Applied { validated, hash } = applied;
    let reports = context.agents.ask(&context.http).await.map_err(Error::AskAgents)?;
    let rollout = Rollout { hash: &hash, reports: &reports, now: jiff::Timestamp::now() };
    for verdict in &validated.verdicts {
        let wanted = status(verdict, &rollout);
        if verdict.rule.status.as_ref() != Some(&wanted) {
            write(context, verdict, wanted).await?;
        }
    }
    count(context, &validated, &rollout);
    Ok(progress(&rollout))
}

/// A deleted FalcoRule needs no status any more.
async fn write(context: &Context, verdict: &Verdict, wanted: FalcoRuleStatus) -> Result<(), Error> {
    let (namespace, name) = (verdict.rule.namespace().unwrap_or_default(), verdict.rule.name_any());
    let failed = |e| Error::UpdateStatus(format!("{namespace}/{name}"), e);
    let api: Api<FalcoRule> = Api::namespaced(context.client.clone(), &namespace);
    let patch = json!({
        "apiVersion": FalcoRule::api_version(&()), "kind": FalcoRule::kind(&()),
        "metadata": {"name": name, "uid": verdict.rule.uid()}, "status": wanted,
    });
    match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
        Ok(_) => context.metrics.status_writes.inc(),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
        Err(e) => return Err(failed(e)),
    }
    match event(verdict, &wanted) {
        Some(event) => context.recorder.publish(&event, &verdict.rule.object_ref(&())).await.map_err(failed),
        None => Ok(()),
    }
}

/// An Event when a FalcoRule is accepted or rejected, not when it stays so.
fn event(verdict: &Verdict, wanted: &FalcoRuleStatus) -> Option<Event> {
    let told =
        |status: &FalcoRuleStatus| status.conditions.first().map(|c| (c.reason.clone(), c.message.clone()));
    if verdict.rule.status.as_ref().and_then(told) == told(wanted) {
        return None;
    }
    let (type_, reason, note) = match &verdict.outcome {
        Outcome::Accepted => (EventType::Normal, "Accepted", None),
        Outcome::Rejected(message) => (EventType::Warning, "Rejected", Some(cut(message.clone(), MAX_NOTE))),
        Outcome::Disabled => return None,
    };
    Some(Event { type_, reason: reason.to_owned(), note, action: "Validate".to_owned(), secondary: None })
}

fn progress(rollout: &Rollout) -> Progress {
    let behind =
        |report: &Report| report.answer.as_ref().is_ok_and(|a| a.bundle.as_deref() != Some(rollout.hash));
    if rollout.reports.iter().any(behind) { Progress::Waiting } else { Progress::Converged }
}

fn count(context: &Context, validated: &Validated, rollout: &Rollout) {
    let outcomes = [("accepted", 0), ("disabled", 1), ("rejected", 2)];
    for (name, kind) in outcomes {
        let is_kind = |verdict: &&Verdict| {
            kind == match verdict.outcome {
                Outcome::Accepted => 0,
                Outcome::Disabled => 1,
                Outcome::Rejected(_) => 2,
            }
        };
        let count = validated.verdicts.iter().filter(is_kind).count();
        context.metrics.falco_rules.with_label_values(&[name]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let current = rollout.reports.iter().filter(|report| rollout.is_current(report)).count();
    context.metrics.nodes.set(i64::try_from(rollout.reports.len()).unwrap_or(i64::MAX));
    context.metrics.nodes_current.set(i64::try_from(current).unwrap_or(i64::MAX));
}
