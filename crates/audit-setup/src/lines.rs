//! From what is asked of each cell to lines of a policy, of which the first that matches counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    demand::Users,
    need::{Asked, Need, Verb},
    policy::{GroupResources, Level, PolicyRule, Stage},
    requests::{METHODS, Resource, Target, kubernetes},
};

/// A line before its stages and reasons are put in words.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) rule: PolicyRule,
    pub(crate) stages: BTreeSet<Stage>,
    pub(crate) wanted_by: BTreeSet<usize>,
}

/// Cells of one target that share a line.
#[derive(Debug)]
struct Block<'a> {
    /// Empty for all verbs that no earlier block has.
    verbs: Vec<&'static str>,
    need: &'a Need,
    wanted_by: BTreeSet<(usize, Option<BTreeSet<String>>)>,
    targets: Vec<&'a Target>,
}

/// The lines, the last of which are about whatever is not named.
pub(crate) fn rows(asked: &[Asked]) -> Vec<Row> {
    let Some((rest, named)) = asked.split_last() else { return Vec::new() };
    let mut last = blocks(rest, |_| false);
    let mut merged: Vec<Vec<Block<'_>>> = Vec::new();
    for target in named {
        let left = |verb: &Verb| same_as_rest(target, *verb, rest);
        for (verb, need) in target.needs.iter().filter(|(verb, _)| left(verb)) {
            leave(*verb, need, &mut last);
        }
        let own = blocks(target, left);
        match merged.iter_mut().find(|blocks| same_blocks(blocks, &own)) {
            Some(blocks) => blocks.iter_mut().zip(own).for_each(|(all, one)| all.join(one)),
            None if own.is_empty() => {}
            None => merged.push(own),
        }
    }
    merged.push(last);
    let mut rows: Vec<Row> = merged.iter().flat_map(|blocks| rows_of(blocks, rest)).collect();
    let sizes = sizes(named);
    rows.iter_mut()
        .flat_map(|row| &mut row.rule.resources)
        .for_each(|of_group| whole_group(of_group, &sizes));
    rows
}

/// Names the rules of a cell at the line about the rest that serves them.
fn leave(verb: Verb, need: &Need, last: &mut [Block<'_>]) {
    let serves = |block: &Block<'_>| verb.is_some_and(|verb| block.verbs.contains(&verb));
    let place = last.iter().position(serves).or(last.len().checked_sub(1));
    if let Some(block) = place.and_then(|place| last.get_mut(place)) {
        block.wanted_by.extend(wanted_by(need));
    }
}

/// The lines of a target. Where nothing is to be logged, a line keeps later ones from doing it.
fn rows_of(blocks: &[Block<'_>], rest: &Asked) -> Vec<Row> {
    let mut rows = Vec::new();
    for block in blocks {
        let any_verb = blocks.last().filter(|last| last.verbs.is_empty() && !block.verbs.is_empty());
        let rest = rest.needs.iter().filter(|(verb, _)| block.competes(**verb)).map(|(_, need)| need);
        let users = block.need.some.values().flatten().collect();
        let mut later = any_verb.iter().map(|last| last.need).chain(rest);
        rows.extend(block.rows(later.any(|need| !need.is_within(&users))));
    }
    rows
}

/// Whether whatever is not named is logged for everyone.
pub(crate) fn logs_everything(rows: &[Row]) -> bool {
    let rest = rows.last().map(|row| &row.rule);
    rest.is_some_and(|rule| *rule == PolicyRule { level: rule.level, ..PolicyRule::default() })
}

/// Whether the lines about the rest do for this cell, too.
fn same_as_rest(target: &Asked, verb: Verb, rest: &Asked) -> bool {
    let same = |verb: &Verb| match (target.needs.get(verb), rest.needs.get(verb)) {
        (Some(own), Some(general)) => own.same(general),
        _ => false,
    };
    if target.target == Target::Path {
        // Its verbs are others.
        let Some(general) = rest.needs.get(&None) else { return false };
        return rest.needs.values().chain(target.needs.values()).all(|need| need.same(general));
    }
    // A line for any other verb takes what no line before it has taken.
    same(&None) && same(&verb)
}

/// The cells of a target by need, without those that are left to the rest.
fn blocks<'a>(asked: &'a Asked, left: impl Fn(&Verb) -> bool) -> Vec<Block<'a>> {
    let general = asked.needs.get(&None);
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for (verb, need) in asked.needs.iter().rev().filter(|(verb, _)| !left(verb)) {
        let as_others = verb.is_none() || general.is_some_and(|general| general.same(need) && !left(&None));
        let verbs = if as_others { Vec::new() } else { verb.iter().copied().collect() };
        let own = Block { verbs, need, wanted_by: wanted_by(need), targets: vec![&asked.target] };
        let alike =
            |block: &&mut Block<'_>| block.need.same(need) && block.verbs.is_empty() == own.verbs.is_empty();
        match blocks.iter_mut().find(alike) {
            Some(block) => {
                block.verbs.extend(&own.verbs);
                block.wanted_by.extend(own.wanted_by);
            }
            None => blocks.push(own),
        }
    }
    for block in &mut blocks {
        block.verbs.sort_unstable();
    }
    blocks.sort_by_key(|block| block.verbs.is_empty());
    blocks
}

fn wanted_by(need: &Need) -> BTreeSet<(usize, Option<BTreeSet<String>>)> {
    let wanted = need.wanted_by.iter().map(|(position, users)| match users {
        Users::Any => (*position, None),
        Users::Only(users) => (*position, Some(users.clone())),
    });
    wanted.collect()
}

/// Paths have verbs of their own and never share a line with resources.
fn same_blocks(a: &[Block<'_>], b: &[Block<'_>]) -> bool {
    let named = |block: &Block<'_>| block.targets.iter().all(|target| matches!(target, Target::Named(_)));
    let same =
        |(a, b): (&Block<'_>, &Block<'_>)| a.verbs == b.verbs && a.need.same(b.need) && named(a) && named(b);
    a.len() == b.len() && !a.is_empty() && a.iter().zip(b).all(same)
}

impl<'a> Block<'a> {
    fn join(&mut self, other: Block<'a>) {
        self.targets.extend(other.targets);
        self.wanted_by.extend(other.wanted_by);
    }

    /// Whether a line about the rest for this verb would take some of its requests.
    fn competes(&self, verb: Verb) -> bool {
        match (self.targets.first(), verb) {
            (Some(Target::OtherResource), _) => false,
            (Some(Target::Path), Some(verb)) => METHODS.contains(&verb),
            (_, Some(verb)) => self.verbs.is_empty() || self.verbs.contains(&verb),
            (_, None) => true,
        }
    }

    /// Its lines: for some users, then for everyone.
    fn rows(&self, shield: bool) -> Vec<Row> {
        let some = self.need.some.iter().rev().map(|(level, users)| self.row(*level, Some(users)));
        let everyone = self.need.everyone > Level::None || shield;
        some.chain(everyone.then(|| self.row(self.need.everyone, None))).collect()
    }

    fn row(&self, level: Level, users: Option<&BTreeSet<String>>) -> Row {
        let served: BTreeSet<&String> = self.need.some.values().flatten().collect();
        let wanted = |wanted: &Option<BTreeSet<String>>| match (users, wanted) {
            (Some(users), Some(wanted)) => !users.is_disjoint(wanted),
            (Some(_), None) => false,
            (None, None) => level > Level::None,
            (None, Some(wanted)) => level > Level::None && !wanted.iter().all(|user| served.contains(user)),
        };
        let rule = PolicyRule {
            level,
            users: users.into_iter().flatten().cloned().collect(),
            verbs: self.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            resources: resources(&self.targets),
            non_resource_urls: self
                .targets
                .contains(&&Target::Path)
                .then(|| "*".to_owned())
                .into_iter()
                .collect(),
            ..PolicyRule::default()
        };
        let wanted_by = self.wanted_by.iter().filter(|(_, users)| wanted(users)).map(|(at, _)| *at).collect();
        Row { rule, stages: self.need.stages.clone(), wanted_by }
    }
}

fn resources(targets: &[&Target]) -> Vec<GroupResources> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for target in targets {
        if let Target::Named(Resource { group, name }) = target {
            groups.entry(group).or_default().push(name.clone());
        }
    }
    let group = |(group, resources): (&str, Vec<String>)| GroupResources {
        group: group.to_owned(),
        resources,
        ..GroupResources::default()
    };
    groups.into_iter().map(group).collect()
}

/// How many resources are named of each group, without groups of which Kubernetes knows fewer: they may have more.
fn sizes(named: &[Asked]) -> BTreeMap<&str, usize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for asked in named {
        if let Target::Named(resource) = &asked.target {
            let size = sizes.entry(&resource.group).or_default();
            *size = size.saturating_add(1);
        }
    }
    sizes.retain(|group, size| kubernetes().filter(|(known, ..)| known == group).count() == *size);
    sizes
}

/// All that a group has is written as the group alone.
fn whole_group(of_group: &mut GroupResources, sizes: &BTreeMap<&str, usize>) {
    let all = sizes.get(&*of_group.group).copied().unwrap_or(0);
    if all > 1 && all == of_group.resources.len() {
        of_group.resources.clear();
    }
}
