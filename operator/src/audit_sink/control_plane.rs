//! The nodes with an API server, and what is to be said of each. Pure.

use saker_audit_setup::{Distribution, order::Order, restart_command};
use saker_crds::{
    agent::{ApiServer, Webhook},
    audit_sink::Mode,
};

use crate::agents::Report;

/// A node with an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    /// Time of the latest event that its agent got, nanoseconds since the Unix epoch.
    pub(super) last_event: Option<u64>,
    pub(super) server: ApiServer,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Off,
    Configured,
    Pending,
    RestartRequired,
    RolledBack,
    Failed,
    Conflicting,
    Unsupported,
}

/// Those of the agents that have an API server beside them.
pub(super) fn nodes(reports: Vec<Report>) -> Vec<Node> {
    let node = |report: Report| {
        let audit = report.answer.ok()?.k8s_audit;
        Some(Node { name: report.node, last_event: audit.last_event, server: audit.api_server? })
    };
    reports.into_iter().filter_map(node).collect()
}

impl Node {
    pub(super) fn distribution(&self) -> Distribution {
        Distribution::named(&self.server.distribution)
    }

    /// Whether it has something to do once it is its turn.
    pub(super) fn has_task(&self, order: &Order) -> bool {
        let answer = self.server.answer.as_ref();
        let other = matches!(self.server.webhook, Webhook::Other(_));
        if order.patch {
            let tried = answer.is_some_and(|answer| answer.revision == order.revision);
            self.distribution().is_patchable() && !other && !tried
        } else {
            answer.is_some_and(|answer| answer.outcome == "Applied")
        }
    }

    /// Whether the order came to nothing here: then no further node is tried.
    pub(super) fn has_failed(&self, order: &Order) -> bool {
        let failed = |outcome: &str| matches!(outcome, "RolledBack" | "Failed");
        self.server.answer.as_ref().is_some_and(|a| a.revision == order.revision && failed(&a.outcome))
    }

    /// Its name and why, if the order came to nothing here.
    pub(super) fn failure(&self, order: &Order) -> Option<String> {
        self.has_failed(order).then(|| format!("{}: {}", self.name, self.message()))
    }

    /// How far it is, and what to do about it.
    pub(super) fn state(&self, mode: Mode, order: &Order) -> (State, String) {
        match mode {
            Mode::Patch => self.state_of_patch(order),
            _ if self.has_task(order) => {
                (State::Pending, "the changes of mode Patch are taken back".to_owned())
            }
            _ if self.has_failed(order) => (State::Failed, self.message()),
            Mode::Off => (State::Off, String::new()),
            Mode::Snippet => self.state_of_webhook("status.snippet says what to do on this node"),
            Mode::Tail => self.state_of_log(order),
        }
    }

    fn state_of_patch(&self, order: &Order) -> (State, String) {
        if self.has_failed(order) {
            return (State::RolledBack, self.message());
        }
        if matches!(self.server.webhook, Webhook::Other(_)) {
            return self.state_of_webhook("");
        }
        if !self.distribution().is_patchable() {
            let name = self.distribution();
            return (
                State::Unsupported,
                format!("{name} takes its settings elsewhere: use mode Snippet or Tail"),
            );
        }
        if self.has_task(order) {
            let waits = "its turn has not come, or no set-up pod runs there (chart value auditSink.patch)";
            return (State::Pending, waits.to_owned());
        }
        self.state_of_webhook("it was set up, and then changed by somebody else")
    }

    fn state_of_webhook(&self, missing: &str) -> (State, String) {
        match &self.server.webhook {
            Webhook::Other(path) => {
                let advice = "an API server has room for one: take that one away, or use mode Tail";
                (State::Conflicting, format!("its webhook leads elsewhere ({path}); {advice}"))
            }
            Webhook::None => (State::Pending, missing.to_owned()),
            Webhook::Saker if self.server.restart_required => {
                (State::RestartRequired, restart_command(self.distribution()).to_owned())
            }
            Webhook::Saker => (State::Configured, String::new()),
        }
    }

    fn state_of_log(&self, order: &Order) -> (State, String) {
        if self.server.log.is_some() || !order.log_file.is_empty() {
            return (State::Configured, String::new());
        }
        let advice = "it writes no log file: start it with --audit-log-path and an audit policy";
        (State::Unsupported, advice.to_owned())
    }

    fn message(&self) -> String {
        self.server.answer.as_ref().map(|answer| answer.message.clone()).unwrap_or_default()
    }
}
