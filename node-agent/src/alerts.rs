//! Every alert passes here: counted by rule, then given to the outputs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use saker_alert::{Alert, Priority};
use saker_outputs::Outputs;

/// Rules that are counted by name; rules come and go, this bound stays.
const MAX_COUNTED: usize = 100_000;

/// The way out for alerts of all sources.
pub struct Alerts {
    outputs: Outputs,
    tally: Mutex<BTreeMap<String, Tally>>,
}

/// How often a rule made an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Alerts since the start.
    pub count: u64,
    /// The rule's priority.
    pub priority: Priority,
    /// The rule's source.
    pub source: String,
    /// The rule's tags.
    pub tags: Vec<String>,
}

impl Alerts {
    /// Alerts go to these outputs.
    pub fn new(outputs: Outputs) -> Self {
        Self { outputs, tally: Mutex::default() }
    }

    /// Counts an alert and queues it for every output; never waits for one.
    pub fn send(&self, alert: Alert) {
        self.count(&alert);
        self.outputs.send(alert);
    }

    fn count(&self, alert: &Alert) {
        let mut tally = self.lock();
        if let Some(known) = tally.get_mut(&alert.rule) {
            known.count = known.count.saturating_add(1);
        } else if tally.len() < MAX_COUNTED {
            let Alert { priority, ref source, ref tags, .. } = *alert;
            let first = Tally { count: 1, priority, source: source.clone(), tags: tags.clone() };
            tally.insert(alert.rule.clone(), first);
        }
    }

    /// How often each rule made an alert, by rule.
    pub fn tally(&self) -> BTreeMap<String, Tally> {
        self.lock().clone()
    }

    /// The outputs.
    pub const fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
