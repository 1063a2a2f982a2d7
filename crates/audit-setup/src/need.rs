//! What rules ask of an audit policy, by target and verb.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    demand::Users,
    policy::{Level, Stage},
    requests::Target,
};

/// What rules ask of a cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Need {
    /// The level for whoever asks.
    pub(crate) everyone: Level,
    /// Higher levels for some users.
    pub(crate) some: BTreeMap<Level, BTreeSet<String>>,
    pub(crate) stages: BTreeSet<Stage>,
    /// Positions of the rules that ask, with the users on whom they match.
    pub(crate) wanted_by: Vec<(usize, Users)>,
}

/// A verb: one that is named, or any other.
pub(crate) type Verb = Option<&'static str>;

/// A target with what is asked of it by verb.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) target: Target,
    pub(crate) needs: BTreeMap<Verb, Need>,
}

impl Need {
    pub(crate) fn add(&mut self, position: usize, level: Level, users: Users) {
        match &users {
            Users::Any => self.everyone = self.everyone.max(level),
            Users::Only(some) => self.some.entry(level).or_default().extend(some.iter().cloned()),
        }
        self.wanted_by.push((position, users));
    }

    /// Leaves out the users that get as much anyway.
    pub(crate) fn finish(mut self) -> Self {
        let everyone = self.everyone;
        let mut served = BTreeSet::new();
        for (level, users) in self.some.iter_mut().rev() {
            users.retain(|user| *level > everyone && served.insert(user.clone()));
        }
        self.some.retain(|_, users| !users.is_empty());
        self
    }

    /// Whether both lead to the same lines.
    pub(crate) fn same(&self, other: &Self) -> bool {
        (self.everyone, &self.some, &self.stages) == (other.everyone, &other.some, &other.stages)
    }

    /// Whether it asks for nothing beyond what these users get.
    pub(crate) fn is_within(&self, users: &BTreeSet<&String>) -> bool {
        self.everyone == Level::None && self.some.values().flatten().all(|user| users.contains(user))
    }
}
