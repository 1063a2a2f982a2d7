//! What the AuditSink says of itself. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use saker_audit_setup::{order::Order, snippet};
use saker_crds::{
    AuditSink, AuditSinkStatus,
    agent::Webhook,
    audit_sink::{ControlPlaneNode, Mode, condition},
};

use super::{
    certificates::{self, Issued},
    control_plane::{Node, State},
    knowledge::Knowledge,
};

/// An API server that sent nothing for so long is silent: its own lease alone makes events more often.
const SILENT: u64 = 300;
/// Nodes or rules that a message names.
const MAX_NAMED: usize = 5;
/// Nodes that the status lists.
const MAX_NODES: usize = 50;

/// What the status is made of.
pub(super) struct Facts<'a> {
    pub(super) sink: &'a AuditSink,
    pub(super) nodes: &'a [Node],
    pub(super) order: &'a Order,
    pub(super) knowledge: &'a Knowledge,
    pub(super) issued: &'a Issued,
    pub(super) namespace: &'a str,
}

/// A condition that holds or not, with the reason.
struct Said {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Facts<'_> {
    /// The status.
    pub(super) fn status(&self, now: Timestamp) -> AuditSinkStatus {
        let states: Vec<_> =
            self.nodes.iter().map(|node| (node, node.state(self.mode(), self.order))).collect();
        let node = |(node, (state, message)): &(&Node, (State, String))| ControlPlaneNode {
            name: node.name.clone(),
            distribution: node.distribution().to_string(),
            state: format!("{state:?}"),
            message: message.clone(),
        };
        let said = [
            self.configured(&states),
            self.receiving(now),
            any(condition::RESTART_REQUIRED, &states, State::RestartRequired),
            self.too_narrow(),
            any(condition::CONFLICTING_WEBHOOK, &states, State::Conflicting),
            self.unsupported(&states),
        ];
        AuditSinkStatus {
            observed_generation: self.sink.metadata.generation,
            conditions: said.into_iter().map(|said| self.condition(said, now)).collect(),
            distribution: self.nodes.first().map(|n| n.distribution().to_string()).unwrap_or_default(),
            nodes: states.iter().take(MAX_NODES).map(node).collect(),
            snippet: self.snippet(),
        }
    }

    fn mode(&self) -> Mode {
        self.sink.spec.mode
    }

    fn configured(&self, states: &[(&Node, (State, String))]) -> Said {
        let said = |holds, reason, message| Said { type_: condition::CONFIGURED, holds, reason, message };
        if self.mode() == Mode::Off {
            return said(false, "Off", "mode is Off".to_owned());
        }
        let open: Vec<_> = states.iter().filter(|(_, (state, _))| *state != State::Configured).collect();
        let Some((_, (state, _))) = open.first() else {
            let found = !states.is_empty();
            let reason = if found { "AllNodes" } else { "NoApiServer" };
            return said(found, reason, named(states.iter().map(|(node, _)| node.name.clone())));
        };
        let about = open.iter().map(|(node, (_, message))| format!("{}: {message}", node.name));
        said(false, reason(*state), named(about))
    }

    fn receiving(&self, now: Timestamp) -> Said {
        let recent = |node: &&Node| {
            let seconds = node.last_event.and_then(|time| i64::try_from(time / 1_000_000_000).ok());
            seconds.is_some_and(|seconds| now.as_second().abs_diff(seconds) < SILENT)
        };
        let silent: Vec<_> = self.nodes.iter().filter(|node| !recent(node)).map(|n| n.name.clone()).collect();
        let holds = silent.is_empty() && !self.nodes.is_empty();
        let message = if holds {
            "every API server sent events within the last five minutes".to_owned()
        } else {
            format!("no event within the last five minutes: {}", named(silent.into_iter()))
        };
        let reason = if holds { "Events" } else { "Silent" };
        Said { type_: condition::RECEIVING, holds, reason, message }
    }

    /// Of the API servers whose events come to Saker.
    fn too_narrow(&self) -> Said {
        let tail = self.mode() == Mode::Tail;
        let ours = self.nodes.iter().filter(|node| tail || node.server.webhook == Webhook::Saker);
        let policies = ours.filter_map(|node| node.server.policy.as_ref());
        let blind: std::collections::BTreeSet<_> =
            policies.filter_map(|policy| self.knowledge.checked.get(policy)).flatten().cloned().collect();
        let holds = !blind.is_empty();
        let reason = if holds { "BlindRules" } else { "AllRulesSee" };
        let advice = if self.mode() == Mode::Patch { "change spec.revision" } else { "replace the policy" };
        let message = match blind.len() {
            0 => String::new(),
            1 => format!("{}; {advice} to have it derived anew", named(blind.into_iter())),
            count => format!("{count} rules: {}; {advice} to have it derived anew", named(blind.into_iter())),
        };
        Said { type_: condition::POLICY_TOO_NARROW, holds, reason, message }
    }

    fn unsupported(&self, states: &[(&Node, (State, String))]) -> Said {
        if !self.nodes.is_empty() || self.mode() == Mode::Off {
            return any(condition::UNSUPPORTED, states, State::Unsupported);
        }
        let message = "no agent has an API server beside it: either the control plane is managed (EKS, GKE and AKS \
                       take no webhook), or no agent runs on its nodes (tolerations)";
        Said {
            type_: condition::UNSUPPORTED,
            holds: true,
            reason: "NoApiServer",
            message: message.to_owned(),
        }
    }

    /// For each kind of control plane that is there, usually one.
    fn snippet(&self) -> String {
        if self.mode() != Mode::Snippet {
            return String::new();
        }
        let secret = certificates::print_command(self.namespace);
        let mut kinds: Vec<_> = Vec::new();
        for kind in self.nodes.iter().map(Node::distribution) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
            .into_iter()
            .map(|kind| snippet(kind, self.knowledge.policy(), &secret))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn condition(&self, said: Said, now: Timestamp) -> Condition {
        let Said { type_, holds, reason, mut message } = said;
        if type_ == condition::CONFIGURED && self.issued.ends_soon(now) {
            let until = self.issued.until;
            message =
                format!("the API servers' certificate ends at {until}: change spec.revision. {message}");
        }
        let status = if holds { "True" } else { "False" };
        let before = self.sink.status.iter().flat_map(|status| &status.conditions).find(|c| c.type_ == type_);
        let since = before.filter(|before| before.status == status).map(|b| b.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: self.sink.metadata.generation,
            last_transition_time: since.unwrap_or_else(|| Time(seconds(now))),
        }
    }
}

/// Kubernetes keeps whole seconds.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

const fn reason(state: State) -> &'static str {
    match state {
        State::Off => "Off",
        State::Configured => "AllNodes",
        State::Pending => "Pending",
        State::RestartRequired => "RestartRequired",
        State::RolledBack => "RolledBack",
        State::Failed => "Failed",
        State::Conflicting => "ConflictingWebhook",
        State::Unsupported => "Unsupported",
    }
}

/// Holds if a node is in this state.
fn any(type_: &'static str, states: &[(&Node, (State, String))], wanted: State) -> Said {
    let found: Vec<_> = states.iter().filter(|(_, (state, _))| *state == wanted).collect();
    let holds = !found.is_empty();
    let message = named(found.iter().map(|(node, (_, message))| format!("{}: {message}", node.name)));
    Said { type_, holds, reason: if holds { reason(wanted) } else { "NoNode" }, message }
}

/// The first few, and how many more there are.
fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(MAX_NAMED);
    let text = all.take(MAX_NAMED).collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{text}; and {more} more") } else { text }
}
