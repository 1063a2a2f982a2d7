//! Kubernetes audit events to alerts.

use std::sync::Arc;

use saker_alert::Alert;
use saker_events::{
    K8S_AUDIT_SOURCE,
    audit::AuditEvent,
    record::{AuditRecord, Header},
};
use saker_rules::ruleset::{Matching, Scratch};

use crate::{alerts::Alerts, options::Options, rules::RulesHandle};

/// Evaluates the audit events of one cluster or file, in their order.
#[derive(Debug)]
pub struct AuditEngine {
    rules: RulesHandle,
    header: Header,
    alerts: Alerts,
    matching: Matching,
    scratch: Scratch,
}

impl AuditEngine {
    /// An engine that has seen no event.
    pub fn new(rules: RulesHandle, options: &Options) -> Self {
        Self {
            rules,
            header: Header {
                source: "k8s_audit",
                hostname: Arc::clone(&options.hostname),
                ..Header::default()
            },
            alerts: Alerts { hits: Arc::clone(&options.hits), iso8601: options.iso8601 },
            matching: options.matching,
            scratch: Scratch::default(),
        }
    }

    /// Evaluates the rules on an event and hands over what they say.
    pub fn event(&mut self, event: AuditEvent, sink: &mut dyn FnMut(Alert)) {
        let header = &mut self.header;
        header.num = header.num.saturating_add(1);
        header.previous_ts = header.ts;
        header.ts = event.time;
        if header.first_ts == 0 {
            header.first_ts = event.time;
        }
        let record = AuditRecord { header: header.clone(), json: event.json };
        let rules = self.rules.load();
        rules.evaluate(K8S_AUDIT_SOURCE, &record, self.matching, &mut self.scratch, |rule| {
            self.alerts.send(self.alerts.of(rule, &record, &record.header), sink);
        });
    }
}
