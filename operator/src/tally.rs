//! Matches of all nodes together. Agents count from their start; what a status says goes on over their restarts, and
//! over those of the operator.

use std::collections::{BTreeMap, HashMap};

use saker_crds::agent::{AgentStatus, Hits};

/// What the agents have counted so far, and what of it no status tells yet.
#[derive(Debug, Default)]
pub struct Tally {
    /// By node: when its agent started, and its counts by file.
    nodes: HashMap<String, (u64, BTreeMap<String, Hits>)>,
    /// By file: matches since this operator leads.
    new: HashMap<String, Hits>,
    /// Whether a round is over: nodes that turn up later are new.
    begun: bool,
}

impl Tally {
    /// Takes in what the agents of a round said.
    ///
    /// What an agent counted before this operator leads is in the statuses already, as its predecessor wrote them;
    /// only files that no status speaks of (`is_told`) are taken whole.
    pub fn add<'a>(
        &mut self,
        answers: impl Iterator<Item = (&'a str, &'a AgentStatus)>,
        is_told: impl Fn(&str) -> bool,
    ) {
        for (node, answer) in answers {
            let known = self.nodes.get(node);
            let same = known.filter(|(started, _)| *started == answer.started).map(|(_, hits)| hits);
            for (file, hits) in &answer.hits {
                let before = match (known, same) {
                    (_, Some(hits)) => hits.get(file).map_or(0, |hits| hits.matches),
                    (None, None) if !self.begun && is_told(file) => hits.matches,
                    _ => 0,
                };
                let new = self.new.entry(file.clone()).or_default();
                new.matches = new.matches.saturating_add(hits.matches.saturating_sub(before));
                new.last = new.last.max(hits.last);
            }
            self.nodes.insert(node.to_owned(), (answer.started, answer.hits.clone()));
        }
        self.begun = true;
    }

    /// What is to be added to what the status of a file's object says.
    pub fn untold(&self, file: &str) -> Hits {
        self.new.get(file).copied().unwrap_or_default()
    }

    /// The status of a file's object says so many of the untold matches now.
    pub fn told(&mut self, file: &str, matches: u64) {
        if let Some(new) = self.new.get_mut(file) {
            new.matches = new.matches.saturating_sub(matches);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(started: u64, matches: u64) -> AgentStatus {
        let hits = [("f".to_owned(), Hits { matches, last: started + matches })].into();
        AgentStatus { started, hits, ..AgentStatus::default() }
    }

    /// Rounds of what one node's agent says (start, matches), and what is untold after each.
    fn check(told: bool, rounds: &[(u64, u64, u64)]) {
        let mut tally = Tally::default();
        for (started, matches, untold) in rounds {
            tally.add([("n", &answer(*started, *matches))].into_iter(), |_| told);
            assert_eq!(tally.untold("f").matches, *untold, "{rounds:?}");
        }
    }

    #[test]
    fn counts_go_on_over_restarts() {
        check(false, &[(1, 5, 5), (1, 7, 7), (9, 2, 9), (9, 2, 9)]);
        check(true, &[(1, 5, 0), (1, 7, 2), (9, 2, 4)]);
        check(true, &[(1, 5, 0), (1, 3, 0)]);
    }

    #[test]
    fn a_node_that_turns_up_later_is_new() {
        let mut tally = Tally::default();
        tally.add([("a", &answer(1, 5))].into_iter(), |_| true);
        tally.add([("a", &answer(1, 5)), ("b", &answer(3, 4))].into_iter(), |_| true);
        assert_eq!(tally.untold("f"), Hits { matches: 4, last: 7 });
        tally.told("f", 3);
        assert_eq!(tally.untold("f").matches, 1);
        assert_eq!(tally.untold("other"), Hits::default());
    }
}
