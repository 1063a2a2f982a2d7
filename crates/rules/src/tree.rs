//! The rules of a class of event types, arranged by what they have in common: first comes what most of them ask for, with
//! a branch for either result; then a condition that fails rules out all rules that need it, and texts of many rules are
//! looked up at once.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::{
    assumed::Assumed,
    gate::{Gate, Key},
    lookup::{Kind, Lookup, Opens},
    program::{Counts, Program, Run, Step},
    schema::{EventTypeId, Schema},
};

/// Levels at most; what is left then is evaluated rule by rule.
const MAX_LEVELS: usize = 8;

/// Nodes of one rule that are looked at for what most rules ask for.
const MAX_ASKED: usize = 32;

/// Rules that need at least as many of the same field's texts are looked up at once.
const MIN_LOOKUP: usize = 3;

/// The same for a field that is put together for each event.
const MIN_COSTLY_LOOKUP: usize = 8;

/// Comparisons at most that are made before all else.
const MAX_SPLITS: usize = 4;

/// Rules that must ask for such a comparison.
const MIN_SPLIT: usize = 3;

/// Levels of a condition on which such comparisons are sought.
const MAX_SPLIT_DEPTH: usize = 5;

/// Rules of a source that may stand on both sides of such comparisons.
const MAX_COPIES: usize = 10_000;

/// Bytes of all texts of the gates of a source at most; without room for them, rules are evaluated one by one.
const MAX_GATE_BYTES: usize = 1 << 20;

/// Rules, and what all of them have in common was found to hold.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// The first and the last of its rules.
    first: usize,
    last: usize,
    /// A comparison that decides about so many rules that there is a branch for each result; all else is empty then.
    split: Option<Box<Split>>,
    /// Rules with what is left to hold.
    rules: Vec<(usize, Vec<usize>)>,
    /// What several rules need.
    tests: Vec<(usize, Branch)>,
    lookups: Vec<Lookup>,
    /// What is behind gates.
    gated: Vec<Branch>,
}

/// Rules where a comparison holds, and where it does not.
#[derive(Debug)]
struct Split {
    node: usize,
    holds: Branch,
    fails: Branch,
}

/// The rules that an event matches.
pub(crate) struct Found<'f> {
    pub(crate) rules: &'f mut Vec<usize>,
    /// The first so far, if only that one counts.
    pub(crate) first: Option<usize>,
    /// Of the rules that are not in shadow only the first counts.
    pub(crate) first_only: bool,
    /// From this rule on all are in shadow.
    pub(crate) shadow: usize,
}

impl Found<'_> {
    fn wants(&self, rule: usize) -> bool {
        self.wants_any(rule, rule)
    }

    /// Whether a rule among these could count.
    fn wants_any(&self, first: usize, last: usize) -> bool {
        last >= self.shadow || self.first.is_none_or(|found| first < found)
    }

    fn add(&mut self, rule: usize) {
        if self.first_only && rule < self.shadow {
            self.rules.retain(|found| *found >= self.shadow);
            self.first = Some(rule);
        }
        self.rules.push(rule);
    }
}

impl Branch {
    /// A branch for these rules, without any.
    fn of(entries: &[Entry]) -> Self {
        let rules = || entries.iter().map(|entry| entry.rule);
        Self {
            first: rules().min().unwrap_or(usize::MAX),
            last: rules().max().unwrap_or(0),
            ..Self::default()
        }
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.split.is_none() && self.rules.is_empty() && self.tests.is_empty() && self.gated.is_empty()
    }

    /// Adds the rules that the event matches, in any order.
    pub(crate) fn find(&self, run: &mut Run<'_, '_>, found: &mut Found<'_>) {
        if let Some(split) = &self.split {
            let below = if run.holds(split.node) { &split.holds } else { &split.fails };
            if found.wants_any(below.first, below.last) {
                below.find(run, found);
            }
            return;
        }
        for (rule, rest) in &self.rules {
            if found.wants(*rule) && rest.iter().all(|node| run.holds(*node)) {
                found.add(*rule);
            }
        }
        for (node, below) in &self.tests {
            if found.wants_any(below.first, below.last) && run.holds(*node) {
                below.find(run, found);
            }
        }
        for lookup in &self.lookups {
            for below in run.opened(lookup).iter().filter_map(|at| self.gated.get(*at)) {
                if found.wants_any(below.first, below.last) {
                    below.find(run, found);
                }
            }
        }
    }
}

/// A rule, and what has to hold for it.
#[derive(Debug, Clone)]
struct Entry {
    rule: usize,
    needs: Vec<usize>,
}

/// What several rules may have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Group {
    Texts(Kind, usize),
    Node(usize),
}

/// Texts, each with what it opens.
type Texts<'p> = Vec<(&'p [u8], Opens)>;

/// Makes the trees of one source.
pub(crate) struct Trees<'p> {
    program: &'p Program,
    /// The gates of nodes, as far as they were asked for.
    known: FxHashMap<usize, Option<Gate<'p>>>,
    pub(crate) counts: Counts,
    /// Bytes that texts may still take.
    room: usize,
    /// Rules that may still stand on both sides of a comparison.
    copies: usize,
}

impl<'p> Trees<'p> {
    /// No tree yet.
    pub(crate) fn new(program: &'p Program) -> Self {
        let counts = Counts { gates: 0, of_process: program.process_nodes };
        Self { program, known: FxHashMap::default(), counts, room: MAX_GATE_BYTES, copies: MAX_COPIES }
    }

    /// The tree of these rules, each with the node of its condition, on events of a type; `None` stands for any.
    pub(crate) fn tree(&mut self, rules: &[(usize, usize)], ty: Option<(&'p Schema, EventTypeId)>) -> Branch {
        let entry = |(rule, root): &(usize, usize)| Entry { rule: *rule, needs: vec![*root] };
        let all: Vec<_> = rules.iter().map(entry).collect();
        let mut assumed = Assumed::new(self.program, ty);
        let possible = self.possible(&all, &mut assumed);
        self.split(possible, &assumed)
    }

    /// The rules that what is known does not rule out, with what is left to hold.
    fn possible(&self, entries: &[Entry], assumed: &mut Assumed<'p>) -> Vec<Entry> {
        let mut possible = Vec::new();
        for Entry { rule, needs } in entries {
            let mut left = Vec::new();
            if needs.iter().all(|need| assumed.needs(*need, &mut left)) {
                left.sort_by_key(|node| (self.program.rank(*node, false), *node));
                left.dedup();
                possible.push(Entry { rule: *rule, needs: left });
            }
        }
        possible
    }

    /// Decides first about what most rules ask for, whichever way it turns out.
    fn split(&mut self, entries: Vec<Entry>, assumed: &Assumed<'p>) -> Branch {
        let Some(node) = self.asked_by_most(&entries, assumed) else { return self.branch(entries, 0) };
        let [mut holds, mut fails] = [true, false].map(|result| assumed.with(node, result));
        let [if_holds, if_fails] = [&mut holds, &mut fails].map(|side| self.possible(&entries, side));
        let twice = if_holds.len().saturating_add(if_fails.len()).saturating_sub(entries.len());
        let Some(room) = self.copies.checked_sub(twice) else { return self.branch(entries, 0) };
        self.copies = room;
        let split = Split { node, holds: self.split(if_holds, &holds), fails: self.split(if_fails, &fails) };
        Branch { split: Some(Box::new(split)), ..Branch::of(&entries) }
    }

    /// A cheap comparison that enough of the rules have.
    fn asked_by_most(&self, entries: &[Entry], assumed: &Assumed<'p>) -> Option<usize> {
        if assumed.comparisons() >= MAX_SPLITS || entries.len() < MIN_SPLIT {
            return None;
        }
        let mut alike: FxHashMap<&[usize], usize> = FxHashMap::default();
        for entry in entries {
            let rules = alike.entry(&entry.needs).or_default();
            *rules = rules.saturating_add(1);
        }
        let mut askers: BTreeMap<usize, usize> = BTreeMap::new();
        for (needs, rules) in alike {
            for node in self.asked_by(needs) {
                let askers = askers.entry(node).or_default();
                *askers = askers.saturating_add(rules);
            }
        }
        let (node, askers) = askers.into_iter().max_by_key(|(_, askers)| *askers)?;
        (askers >= MIN_SPLIT).then_some(node)
    }

    /// The cheap comparisons that a rule asks for.
    fn asked_by(&self, needs: &[usize]) -> BTreeSet<usize> {
        let (mut asked, mut left) = (BTreeSet::new(), MAX_ASKED);
        for need in needs {
            self.comparisons(*need, MAX_SPLIT_DEPTH, &mut left, &mut asked);
        }
        asked
    }

    /// The cheap comparisons that a condition asks for on its first levels, as far as so many nodes are `left` to look at.
    fn comparisons(&self, node: usize, levels: usize, left: &mut usize, found: &mut BTreeSet<usize>) {
        let Some(less) = left.checked_sub(1) else { return };
        *left = less;
        let below = levels.saturating_sub(1);
        match self.program.step(node) {
            Some(Step::And(members) | Step::Or(members)) if levels > 0 => {
                for member in members.iter().take(less) {
                    self.comparisons(*member, below, left, found);
                }
            }
            // Of exceptions only those that are a comparison themselves: the others rule out nothing.
            Some(Step::Not(inner)) if levels > 0 => self.comparisons(*inner, 0, left, found),
            Some(Step::Atom(atom)) if atom.types.is_none() && self.program.is_cheap(node) => {
                found.insert(node);
            }
            _ => {}
        }
    }

    fn branch(&mut self, entries: Vec<Entry>, level: usize) -> Branch {
        let mut branch = Branch::of(&entries);
        if entries.len() < 2 || level >= MAX_LEVELS {
            branch.rules = entries.into_iter().map(|entry| (entry.rule, entry.needs)).collect();
            return branch;
        }
        for (group, members) in self.groups(entries) {
            match group {
                Some(Group::Node(node)) => {
                    let below = members.into_iter().map(|(entry, node)| entry.without(node)).collect();
                    branch.tests.push((node, self.branch(below, level.saturating_add(1))));
                }
                Some(Group::Texts(..)) => self.gated(members, level, &mut branch),
                None => branch.rules.extend(members.into_iter().map(|(entry, _)| (entry.rule, entry.needs))),
            }
        }
        branch.tests.sort_by_key(|(_, below)| below.first);
        branch
    }

    /// Every rule goes to the group that rules out most; `None` for those that have nothing in common with others.
    fn groups(&mut self, entries: Vec<Entry>) -> BTreeMap<Option<Group>, Vec<(Entry, usize)>> {
        let mut sizes: FxHashMap<Group, usize> = FxHashMap::default();
        for node in entries.iter().flat_map(|entry| &entry.needs) {
            for group in self.groups_of(*node) {
                let size = sizes.entry(group).or_default();
                *size = size.saturating_add(1);
            }
        }
        let mut groups: BTreeMap<Option<Group>, Vec<(Entry, usize)>> = BTreeMap::new();
        for entry in entries {
            let mut best = (0, None, 0);
            for node in &entry.needs {
                for group in self.groups_of(*node) {
                    let score = self.score(group, sizes.get(&group).copied().unwrap_or(0));
                    if score > best.0 {
                        best = (score, Some(group), *node);
                    }
                }
            }
            groups.entry(best.1).or_default().push((entry, best.2));
        }
        groups
    }

    fn groups_of(&mut self, node: usize) -> impl Iterator<Item = Group> + use<> {
        let gate = self.gate(node).and_then(|gate| gate.keys.first()).map(|key| Group::Texts(key.0, key.1));
        [Some(Group::Node(node)), gate].into_iter().flatten()
    }

    fn gate(&mut self, node: usize) -> Option<&Gate<'p>> {
        let program = self.program;
        self.known.entry(node).or_insert_with(|| Gate::of(program, node, &mut 0)).as_ref()
    }

    /// How much it helps to decide about so many rules at once. What is costly is asked rule by rule, behind all else.
    fn score(&self, group: Group, size: usize) -> usize {
        let weight = match group {
            Group::Texts(..) if size < MIN_LOOKUP || self.room == 0 => 0,
            Group::Texts(_, slot) if self.program.is_costly(slot) => usize::from(size >= MIN_COSTLY_LOOKUP),
            Group::Texts(Kind::Equal, _) => 3200,
            Group::Texts(Kind::Prefix, _) => 2800,
            Group::Texts(Kind::Inside, _) => 2400,
            Group::Node(_) if size < 2 => 0,
            Group::Node(node) => {
                let fails = 100_usize.saturating_sub(self.program.chance(node));
                fails.saturating_mul(match self.program.cost(node) {
                    0..=5 => 16,
                    6..=12 => 12,
                    13..=64 => 6,
                    _ => 0,
                })
            }
        };
        size.saturating_mul(weight)
    }

    /// Puts rules behind gates, those with the same gate behind one.
    fn gated(&mut self, members: Vec<(Entry, usize)>, level: usize, branch: &mut Branch) {
        let mut by_node: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for (entry, node) in members {
            by_node.entry(node).or_default().push(entry);
        }
        let mut texts: BTreeMap<(Kind, usize), Texts<'p>> = BTreeMap::new();
        for (node, entries) in by_node {
            let Some(gate) = self.gate(node) else { continue };
            let (keys, exact) = (gate.keys.clone(), gate.exact);
            let opens = Opens { gate: self.counts.gates, at: branch.gated.len() };
            self.counts.gates = self.counts.gates.saturating_add(1);
            self.spend(&keys);
            for (kind, slot, text) in keys {
                texts.entry((kind, slot)).or_default().push((text, opens));
            }
            let below = entries.into_iter().map(|e| if exact { e.without(node) } else { e }).collect();
            branch.gated.push(self.branch(below, level.saturating_add(1)));
        }
        for ((kind, slot), texts) in texts {
            branch.lookups.extend(self.lookup(kind, slot, &texts));
        }
    }

    fn lookup(&mut self, kind: Kind, slot: usize, texts: &Texts<'_>) -> Option<Lookup> {
        let mut lookup = Lookup::new(kind, slot, texts)?;
        if self.program.reads_process(slot) {
            lookup.of_process = Some(self.counts.of_process);
            self.counts.of_process = self.counts.of_process.saturating_add(1);
        }
        Some(lookup)
    }

    fn spend(&mut self, keys: &[Key<'_>]) {
        let bytes = keys.iter().fold(0_usize, |sum, key| sum.saturating_add(key.2.len()).saturating_add(32));
        self.room = self.room.saturating_sub(bytes);
    }
}

impl Entry {
    fn without(mut self, node: usize) -> Self {
        self.needs.retain(|need| *need != node);
        self
    }
}
