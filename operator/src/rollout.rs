//! How far the bundle got: what each agent says of it. Pure.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use saker_crds::{
    agent::AgentStatus,
    status::{FailingNode, MAX_FAILING, Nodes},
};
use saker_rules::binding::Binding;

use crate::{agents::Report, shipped::Shipped};

/// Bytes of what a node said.
const MAX_SAID: usize = 512;

/// Labels, by node.
pub(crate) type Labels = HashMap<String, BTreeMap<String, String>>;

/// How far the bundle got.
pub(crate) struct Rollout<'a> {
    /// The bundle.
    pub(crate) hash: &'a str,
    /// What each agent says.
    pub(crate) reports: &'a [Report],
    /// The labels of the nodes.
    pub(crate) labels: &'a Labels,
    /// Which bundles hold what.
    pub(crate) shipped: &'a Shipped,
    /// The time of a change found now.
    pub(crate) now: Timestamp,
}

/// What one node does with one file.
enum OnNode {
    Loaded,
    OnTheWay,
    Rejected(String),
    Silent(String),
}

impl Rollout<'_> {
    /// Whether an agent runs the bundle.
    pub(crate) fn is_current(&self, report: &Report) -> bool {
        report.answer.as_ref().is_ok_and(|answer| answer.bundle.as_deref() == Some(self.hash))
    }

    /// Whether an agent has no answer to the bundle yet.
    pub(crate) fn is_on_its_way(&self, report: &Report) -> bool {
        let waits = |answer: &AgentStatus| answer.rules.last_error.is_none();
        !self.is_current(report) && report.answer.as_ref().is_ok_and(waits)
    }

    /// Whether what an agent runs holds this file as it is now; an earlier bundle may, too.
    fn has(&self, report: &Report, file: &str) -> bool {
        let bundle = report.answer.as_ref().ok().and_then(|answer| answer.bundle.as_deref());
        self.is_current(report) || bundle.is_some_and(|hash| self.shipped.holds(hash, file))
    }

    /// Where a file with this binding runs.
    pub(crate) fn nodes(&self, file: &str, binding: Option<&Binding>) -> Nodes {
        let mut nodes = Nodes::default();
        for report in self.reports.iter().filter(|report| self.is_for(report, binding)) {
            nodes.desired = nodes.desired.saturating_add(1);
            let message = match self.on_node(report, file) {
                OnNode::Loaded => {
                    nodes.loaded = nodes.loaded.saturating_add(1);
                    continue;
                }
                OnNode::OnTheWay => continue,
                OnNode::Rejected(message) => {
                    nodes.rejected = nodes.rejected.saturating_add(1);
                    message
                }
                OnNode::Silent(message) => message,
            };
            if nodes.failing.len() < MAX_FAILING {
                let message = cut(message, MAX_SAID);
                nodes.failing.push(FailingNode { node: report.node.clone(), message });
            }
        }
        nodes.summary = format!("{}/{}", nodes.loaded, nodes.desired);
        nodes
    }

    /// Whether the node's labels are those that the file is for.
    fn is_for(&self, report: &Report, binding: Option<&Binding>) -> bool {
        let none = BTreeMap::new();
        let labels = self.labels.get(&report.node).unwrap_or(&none);
        binding.is_none_or(|binding| binding.is_for(labels))
    }

    fn on_node(&self, report: &Report, file: &str) -> OnNode {
        let rules = match &report.answer {
            Ok(answer) => &answer.rules,
            Err(reason) => return OnNode::Silent(reason.clone()),
        };
        if !self.has(report, file) {
            return rules.last_error.clone().map_or(OnNode::OnTheWay, OnNode::Rejected);
        }
        let rejected = rules.reasons.iter().find(|rejected| rejected.is_in(file));
        rejected.map_or(OnNode::Loaded, |rejected| OnNode::Rejected(rejected.reason.clone()))
    }
}

/// At most `limit` bytes, whole characters.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - 4));
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_ten_failing_nodes_are_named() {
        let silent = |i| Report { node: format!("n{i}"), answer: Err("x".repeat(10_000)) };
        let reports: Vec<_> = (0..500).map(silent).collect();
        let (labels, now) = (Labels::new(), Timestamp::UNIX_EPOCH);
        let shipped = Shipped::default();
        let rollout = Rollout { hash: "h", reports: &reports, labels: &labels, shipped: &shipped, now };
        let nodes = rollout.nodes("f", None);
        assert_eq!((nodes.desired, nodes.failing.len()), (500, MAX_FAILING));
        assert!(nodes.failing.iter().all(|failing| failing.message.len() <= MAX_SAID));
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(cut("äöü".to_owned(), 100), "äöü");
        assert_eq!(cut("äöüäöü".to_owned(), 9), "äö ...");
    }
}
