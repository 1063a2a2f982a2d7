//! What the operator has the nodes do, and what became of it. Both are files: the order comes in a ConfigMap that is
//! mounted, the answer stays on the node, where the agent finds it.

use std::{fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    SetupError,
    files::{place, remove, write},
};

/// Name of the order in its folder.
pub const ORDER: &str = "order.json";
/// Name of the policy in the same folder.
pub const POLICY: &str = "audit-policy.yaml";
/// Name of the webhook's kubeconfig in the same folder.
pub const KUBECONFIG: &str = "audit-webhook.kubeconfig";
/// Where a node keeps what became of its last order.
const ANSWER: &str = "/var/lib/saker/audit-setup/answer.json";

/// What all nodes are to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// API servers are to be changed; otherwise what was changed is taken back.
    pub patch: bool,
    /// Agents are to follow the log of the API server beside them.
    pub tail: bool,
    /// A log other than the one that is found.
    pub log_file: String,
    /// Names the order; each is tried once.
    pub revision: String,
    /// Of the policy and the kubeconfig: they may come later than the order.
    pub digest: String,
    /// The one node that may begin.
    pub turn: String,
    /// Where it came to nothing, and why. Nodes do not look at it.
    pub failed: String,
    /// Whether k3s may be started again.
    pub restart: bool,
}

/// What became of an order on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The order.
    pub revision: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The error, if there is one.
    #[serde(default)]
    pub message: String,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The API server is changed, and ready unless a person has to start it again.
    Applied,
    /// It was not possible, and everything is as it was.
    RolledBack,
    /// It could not be taken back.
    Failed,
}

/// What a node has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Change its API server.
    Apply,
    /// Take that back.
    Undo,
}

impl Order {
    /// What a node has to do, after what became of its last order.
    pub fn task(&self, node: &str, last: Option<&Answer>) -> Option<Task> {
        if self.turn.is_empty() || self.turn != node {
            return None;
        }
        let tried = last.is_some_and(|last| last.revision == self.revision);
        let applied = last.is_some_and(|last| last.outcome == Outcome::Applied);
        match (self.patch, tried, applied) {
            (true, false, _) => Some(Task::Apply),
            (false, _, true) => Some(Task::Undo),
            _ => None,
        }
    }
}

/// [`Order::digest`].
pub fn digest(policy: &str, kubeconfig: &str) -> String {
    hex(&Sha256::new().chain_update(policy).chain_update([0]).chain_update(kubeconfig).finalize())
}

/// Digits of a hash.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What became of the last order on the machine whose files lie below `root`.
pub fn answer(root: &Path) -> Option<Answer> {
    serde_json::from_str(&fs::read_to_string(place(root, ANSWER)).ok()?).ok()
}

/// Keeps it, or forgets it.
pub fn set_answer(root: &Path, answer: Option<&Answer>) -> Result<(), SetupError> {
    match answer {
        Some(answer) => {
            let text = serde_json::to_string(answer).unwrap_or_default();
            write(root, ANSWER, &text, false)
        }
        None => remove(root, ANSWER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_acts_in_its_turn_and_once_for_each_order() {
        let order = |patch, revision: &str, turn: &str| Order {
            patch,
            revision: revision.to_owned(),
            turn: turn.to_owned(),
            ..Order::default()
        };
        let answer = |revision: &str, outcome| {
            Some(Answer { revision: revision.to_owned(), outcome, message: String::new() })
        };
        for (order, last, task) in [
            (order(true, "1", "a"), None, Some(Task::Apply)),
            (order(true, "1", "b"), None, None),
            (order(true, "1", ""), None, None),
            (order(true, "1", "a"), answer("1", Outcome::Applied), None),
            (order(true, "1", "a"), answer("1", Outcome::RolledBack), None),
            (order(true, "2", "a"), answer("1", Outcome::RolledBack), Some(Task::Apply)),
            (order(true, "2", "a"), answer("1", Outcome::Applied), Some(Task::Apply)),
            (order(false, "", "a"), answer("1", Outcome::Applied), Some(Task::Undo)),
            (order(false, "", "b"), answer("1", Outcome::Applied), None),
            (order(false, "", "a"), answer("", Outcome::Failed), None),
            (order(false, "", "a"), answer("1", Outcome::RolledBack), None),
            (order(false, "", "a"), None, None),
        ] {
            assert_eq!(order.task("a", last.as_ref()), task, "{order:?} after {last:?}");
        }
    }

    #[test]
    fn an_answer_is_kept_and_forgotten() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(super::answer(root.path()), None);
        let answer =
            Answer { revision: "1".to_owned(), outcome: Outcome::RolledBack, message: "why".to_owned() };
        set_answer(root.path(), Some(&answer)).expect("a writable directory");
        assert_eq!(super::answer(root.path()), Some(answer));
        set_answer(root.path(), None).expect("a writable directory");
        assert_eq!(super::answer(root.path()), None);
    }
}
