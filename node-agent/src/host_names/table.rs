//! The names that rules compare with, what was found out of them, and whose turn it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use saker_events::host_names::ByAddress;

/// Names that are looked up at most, those of the first rules.
pub(super) const MAX_NAMES: usize = 256;
/// Addresses of a name that count.
pub(super) const MAX_ADDRESSES: usize = 64;
/// No name is longer.
const MAX_NAME_BYTES: usize = 253;
/// How long an answer is good.
const REFRESH: Duration = Duration::from_secs(30);
/// Until the second attempt; then twice as long each time, up to [`REFRESH`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Rules that a message names.
const MAX_NAMED: usize = 8;

/// What is known of all names.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: BTreeMap<Arc<str>, Name>,
    /// By rule, how many names of it are not looked up: there are too many, or they are none.
    refused: BTreeMap<String, usize>,
    /// Look-ups that gave addresses.
    pub(super) found: u64,
    /// Look-ups that did not.
    pub(super) failed: u64,
}

/// What is known of a name.
#[derive(Debug)]
pub(super) struct Name {
    /// The rules that compare with it.
    rules: BTreeSet<String>,
    /// From the latest look-up that gave any.
    pub(super) addresses: Vec<IpAddr>,
    /// Addresses beyond [`MAX_ADDRESSES`].
    pub(super) left_out: usize,
    /// Why the latest look-up gave none; also while there was none yet.
    pub(super) fault: Option<String>,
    /// Look-ups that failed since one did not.
    failures: u32,
    due: Instant,
    /// It is being looked up.
    asked: bool,
}

/// What somebody who looks names up does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Look this one up.
    Ask(Arc<str>),
    /// Wait so long, or for ever, unless the names change.
    Wait(Option<Duration>),
}

impl Name {
    fn new(now: Instant) -> Self {
        Self {
            rules: BTreeSet::new(),
            addresses: Vec::new(),
            left_out: 0,
            fault: Some("it is being looked up".to_owned()),
            failures: 0,
            due: now,
            asked: false,
        }
    }

    fn found(&mut self, addresses: &[IpAddr], now: Instant) -> bool {
        let mut addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
        // In another order with each answer of some servers.
        addresses.sort_unstable();
        addresses.dedup();
        self.left_out = addresses.len().saturating_sub(MAX_ADDRESSES);
        addresses.truncate(MAX_ADDRESSES);
        (self.fault, self.failures, self.due) = (None, 0, now + REFRESH);
        mem::replace(&mut self.addresses, addresses) != self.addresses
    }

    fn failed(&mut self, fault: String, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        (self.fault, self.due) = (Some(fault), now + pause.min(REFRESH));
    }

    /// For the log, when something becomes of it that people should know.
    fn tell(&self, name: &str, failures_before: u32) {
        match &self.fault {
            None if failures_before > 0 => tracing::info!("'{name}' has an address again"),
            Some(fault) if failures_before == 0 && self.addresses.is_empty() => {
                let rules = listed(self.rules.iter().map(String::as_str));
                tracing::warn!(
                    "'{name}' has no address: {fault}; rules cannot match it until it has: {rules}"
                );
            }
            Some(fault) if failures_before == 0 => {
                tracing::warn!("'{name}' cannot be looked up: {fault}; the addresses from before count");
            }
            _ => {}
        }
    }
}

impl Table {
    /// Looks up the texts that these rules compare with, and no others. Those without an address are tried at once, and
    /// told again: new rules may compare with them.
    pub(super) fn want<'r>(
        &mut self,
        compared: impl Iterator<Item = (&'r str, Vec<&'r [u8]>)>,
        now: Instant,
    ) {
        self.refused.clear();
        let mut before = mem::take(&mut self.names);
        for (rule, texts) in compared {
            for text in texts {
                self.want_one(rule, text, &mut before, now);
            }
        }
    }

    fn want_one(&mut self, rule: &str, text: &[u8], before: &mut BTreeMap<Arc<str>, Name>, now: Instant) {
        let fits = |name: &&str| (1..=MAX_NAME_BYTES).contains(&name.len());
        let name = str::from_utf8(text).ok().filter(fits);
        if let Some(known) = name.and_then(|name| self.names.get_mut(name)) {
            known.rules.insert(rule.to_owned());
            return;
        }
        let Some(name) = name.filter(|_| self.names.len() < MAX_NAMES) else {
            let refused = self.refused.entry(rule.to_owned()).or_default();
            *refused = refused.saturating_add(1);
            return;
        };
        let (key, known) = before.remove_entry(name).unwrap_or_else(|| (Arc::from(name), Name::new(now)));
        let (failures, due) = if known.addresses.is_empty() { (0, now) } else { (known.failures, known.due) };
        self.names.insert(key, Name { rules: BTreeSet::from([rule.to_owned()]), failures, due, ..known });
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self, now: Instant) -> Turn {
        let idle = self.names.iter_mut().filter(|(_, name)| !name.asked);
        match idle.min_by_key(|(_, name)| name.due) {
            Some((key, name)) if name.due <= now => {
                name.asked = true;
                Turn::Ask(Arc::clone(key))
            }
            Some((_, name)) => Turn::Wait(Some(name.due.saturating_duration_since(now))),
            None => Turn::Wait(None),
        }
    }

    /// Takes over what a look-up came to; whether addresses changed by it. What was known before is kept if it failed.
    pub(super) fn answer(&mut self, key: &str, answer: Result<Vec<IpAddr>, String>, now: Instant) -> bool {
        let answer =
            answer.and_then(|found| if found.is_empty() { Err("it has none".to_owned()) } else { Ok(found) });
        let count = if answer.is_ok() { &mut self.found } else { &mut self.failed };
        *count = count.saturating_add(1);
        // Rules may have changed meanwhile.
        let Some(name) = self.names.get_mut(key) else { return false };
        name.asked = false;
        let before = name.failures;
        let changed = match answer {
            Ok(found) => name.found(&found, now),
            Err(fault) => {
                name.failed(fault, now);
                false
            }
        };
        name.tell(key, before);
        changed
    }

    /// The names of each address.
    pub(super) fn by_address(&self) -> ByAddress {
        let mut all = ByAddress::default();
        for (key, name) in &self.names {
            for address in &name.addresses {
                all.entry(*address).or_default().push(Arc::clone(key));
            }
        }
        all
    }

    /// Rules that compare with names of which no address is known, with the reason.
    pub(super) fn blind(&self) -> Vec<(String, String)> {
        let mut blind: BTreeMap<&str, (Vec<&str>, &str)> = BTreeMap::new();
        for (key, name) in self.names.iter().filter(|(_, name)| name.addresses.is_empty()) {
            for rule in &name.rules {
                let fault = name.fault.as_deref().unwrap_or_default();
                blind.entry(rule).or_insert_with(|| (Vec::new(), fault)).0.push(key);
            }
        }
        let unknown = blind.into_iter().map(|(rule, (names, fault))| {
            let reason = format!(
                "no address is known of {} that it compares with: {fault}",
                listed(names.into_iter())
            );
            (rule.to_owned(), reason)
        });
        let refused = self.refused.iter().map(|(rule, count)| {
            let reason = format!(
                "of the texts that it compares with names, {count} are not looked up: they are none, or beyond {MAX_NAMES}"
            );
            (rule.clone(), reason)
        });
        unknown.chain(refused).collect()
    }

    /// All that are looked up.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Arc<str>, &Name)> {
        self.names.iter()
    }

    /// How many are not looked up.
    pub(super) fn refused(&self) -> usize {
        self.refused.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The first of them, and how many more.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let first: Vec<_> = names.take(MAX_NAMED).map(|name| format!("'{name}'")).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use std::net::AddrParseError;

    use super::*;

    fn want(table: &mut Table, rules: &[(&str, &[&str])], now: Instant) {
        let rules =
            rules.iter().map(|(rule, names)| (*rule, names.iter().map(|name| name.as_bytes()).collect()));
        table.want(rules, now);
    }

    fn addresses(texts: &[&str]) -> Result<Vec<IpAddr>, String> {
        let parse = |text: &&str| text.parse().map_err(|error: AddrParseError| error.to_string());
        texts.iter().map(parse).collect()
    }

    fn fault() -> Result<Vec<IpAddr>, String> {
        Err("no server answers".to_owned())
    }

    /// Gives the next name this answer.
    fn answer(table: &mut Table, name: &str, answer: Result<Vec<IpAddr>, String>, now: Instant) -> bool {
        assert_eq!(table.next(now), Turn::Ask(Arc::from(name)));
        table.answer(name, answer, now)
    }

    fn wait(table: &mut Table, now: Instant) -> u64 {
        match table.next(now) {
            Turn::Wait(Some(pause)) => pause.as_secs(),
            turn => panic!("{turn:?}"),
        }
    }

    #[test]
    fn a_rule_is_blind_until_its_name_has_an_address() {
        let (mut table, now) = (Table::default(), Instant::now());
        assert_eq!(table.next(now), Turn::Wait(None));
        want(&mut table, &[("r", &["a.example", "b.example"]), ("s", &["a.example"])], now);
        let reasons = table.blind();
        assert_eq!(
            reasons[0].1,
            "no address is known of 'a.example', 'b.example' that it compares with: it is being looked up"
        );
        assert!(answer(&mut table, "a.example", addresses(&["10.0.0.1", "::ffff:10.0.0.1"]), now));
        assert!(!answer(&mut table, "b.example", fault(), now));
        let expected = "no address is known of 'b.example' that it compares with: no server answers";
        assert_eq!(table.blind(), [("r".to_owned(), expected.to_owned())]);
        let named: Vec<_> = table.by_address().into_iter().collect();
        assert_eq!(named, [("10.0.0.1".parse().unwrap(), vec![Arc::from("a.example")])]);
        assert_eq!((table.found, table.failed), (1, 1));
    }

    #[test]
    fn an_answer_is_good_for_a_while_and_a_failure_is_tried_again_ever_later() {
        let (mut table, start) = (Table::default(), Instant::now());
        want(&mut table, &[("r", &["a.example"])], start);
        let mut now = start;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            answer(&mut table, "a.example", fault(), now);
            assert_eq!(wait(&mut table, now), pause);
            now += Duration::from_secs(pause);
        }
        assert!(answer(&mut table, "a.example", addresses(&["10.0.0.1"]), now));
        assert_eq!(wait(&mut table, now), 30);
        now += REFRESH;
        assert!(!answer(&mut table, "a.example", addresses(&["10.0.0.1"]), now), "nothing new");
        now += REFRESH;
        assert!(answer(&mut table, "a.example", addresses(&["10.0.0.2"]), now));
    }

    #[test]
    fn new_rules_are_a_reason_to_try_again() {
        let (mut table, now) = (Table::default(), Instant::now());
        for rules in [&[("r", &["a.example"][..])][..], &[("r", &["a.example"]), ("s", &["a.example"])]] {
            want(&mut table, rules, now);
            answer(&mut table, "a.example", fault(), now);
            assert_eq!((wait(&mut table, now), table.blind().len()), (1, rules.len()));
        }
        answer(&mut table, "a.example", addresses(&["10.0.0.1"]), now + FIRST_PAUSE);
        want(&mut table, &[("r", &["a.example"])], now + FIRST_PAUSE);
        assert_eq!(wait(&mut table, now + FIRST_PAUSE), 30, "what is known stays known");
    }

    #[test]
    fn what_was_known_is_kept_while_nobody_answers() {
        let (mut table, mut now) = (Table::default(), Instant::now());
        want(&mut table, &[("r", &["a.example"])], now);
        answer(&mut table, "a.example", addresses(&["10.0.0.1"]), now);
        for failed in [fault(), addresses(&[])] {
            now += REFRESH;
            assert!(!answer(&mut table, "a.example", failed, now));
            assert_eq!((table.blind().len(), table.by_address().len()), (0, 1));
            assert!(table.names().all(|(_, name)| name.fault.is_some()));
        }
        want(&mut table, &[("s", &["a.example"])], now);
        assert_eq!(table.by_address().len(), 1, "another rule compares with it");
        answer(&mut table, "a.example", addresses(&["10.0.0.1"]), now + REFRESH);
        assert!(table.names().all(|(_, name)| name.fault.is_none()));
    }

    #[test]
    fn names_that_no_rule_compares_with_are_forgotten() {
        let (mut table, now) = (Table::default(), Instant::now());
        want(&mut table, &[("r", &["a.example"])], now);
        assert_eq!(table.next(now), Turn::Ask(Arc::from("a.example")));
        assert_eq!(table.next(now), Turn::Wait(None), "it is being looked up");
        want(&mut table, &[("r", &[])], now);
        assert!(!table.answer("a.example", addresses(&["10.0.0.1"]), now));
        assert!(table.by_address().is_empty());
    }

    #[test]
    fn names_and_addresses_are_bounded_and_what_is_left_out_is_told() {
        let (mut table, now) = (Table::default(), Instant::now());
        let names: Vec<_> = (0..MAX_NAMES).map(|n| format!("n{n:03}.example")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        want(
            &mut table,
            &[("long", &[&long, ""]), ("many", &names), ("late", &["z.example"]), ("same", &names[..1])],
            now,
        );
        assert_eq!((table.names().count(), table.refused()), (MAX_NAMES, 3));
        let blind: Vec<_> = table.blind().into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(blind, ["many", "same", "late", "long"]);
        assert!(table.blind()[0].1.contains(" and 248 more that it compares with"), "{:?}", table.blind()[0]);
        let many: Vec<_> =
            (0..=MAX_ADDRESSES).map(|n| IpAddr::from([10, 0, 0, u8::try_from(n).unwrap()])).collect();
        assert!(answer(&mut table, names[0], Ok(many), now));
        assert_eq!(table.by_address().len(), MAX_ADDRESSES);
        assert_eq!(table.names().map(|(_, name)| name.left_out).sum::<usize>(), 1);
    }
}
