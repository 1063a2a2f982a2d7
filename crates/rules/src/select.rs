//! Which rules run: the `rules:` key of the configuration (specification §1.7).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One entry of `rules:`, applied in order after all files are loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Turns rules on.
    Enable(Selector),
    /// Turns rules off.
    Disable(Selector),
}

/// What an entry applies to. With both keys it applies to what either finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Name of a rule; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A tag, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl Selector {
    fn selects(&self, name: &str, tags: &BTreeSet<String>) -> bool {
        let by_name = self.rule.as_ref().is_some_and(|pattern| matches(pattern, name));
        by_name || self.tag.as_ref().is_some_and(|tag| tags.contains(tag))
    }
}

/// What is asked about a rule to select it.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) tags: &'a BTreeSet<String>,
    pub(crate) enabled: bool,
}

/// Positions of the rules that run, in the order in which they are evaluated: a rule that is turned on
/// here goes behind those that were on already.
pub(crate) fn enabled(rules: &[Candidate<'_>], selections: &[Selection]) -> Vec<usize> {
    let mut on: Vec<usize> = Vec::with_capacity(rules.len());
    on.extend(rules.iter().enumerate().filter(|(_, rule)| rule.enabled).map(|(i, _)| i));
    for selection in selections {
        let (Selection::Enable(selector) | Selection::Disable(selector)) = selection;
        let selected: BTreeSet<usize> = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| selector.selects(rule.name, rule.tags))
            .map(|(i, _)| i)
            .collect();
        match selection {
            Selection::Disable(_) => on.retain(|i| !selected.contains(i)),
            Selection::Enable(_) => {
                let already: BTreeSet<usize> = on.iter().copied().collect();
                on.extend(selected.difference(&already));
            }
        }
    }
    on
}

/// Whether a name matches a pattern of literals and `*`. Each literal is taken where it is first found,
/// as in Falco: `*world` does not match `world world`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, mut pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(prefix) else { return false };
    loop {
        pattern = pattern.trim_start_matches('*');
        let (literal, more) = pattern.split_once('*').map_or((pattern, None), |(l, m)| (l, Some(m)));
        if literal.is_empty() {
            return true;
        }
        let Some((_, behind)) = rest.split_once(literal) else { return false };
        rest = behind;
        match more {
            Some(more) => pattern = more,
            None => return rest.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_falcos() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("**", "anything", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("a*c", "a b c", true),
            ("a*c", "a b d", false),
            ("*b*", "abc", true),
            ("*a*c*", "xxayycz", true),
            ("*world", "world world", false),
            ("A*", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn check(selections: &[Selection], expected: &[usize]) {
        let tags = ["net", "file", "net"].map(|tag| BTreeSet::from([tag.to_owned()]));
        let names = ["one", "two", "three"];
        let rules = names.iter().zip(&tags).enumerate();
        let rules: Vec<_> =
            rules.map(|(i, (name, tags))| Candidate { name, tags, enabled: i != 0 }).collect();
        assert_eq!(enabled(&rules, selections), expected, "{selections:?}");
    }

    #[test]
    fn selections_apply_in_order() {
        let rule = |name: &str| Selector { rule: Some(name.into()), tag: None };
        let tag = |name: &str| Selector { rule: None, tag: Some(name.into()) };
        check(&[], &[1, 2]);
        check(&[Selection::Enable(rule("one"))], &[1, 2, 0]);
        check(&[Selection::Enable(rule("*"))], &[1, 2, 0]);
        check(&[Selection::Disable(tag("net"))], &[1]);
        check(&[Selection::Disable(rule("t*")), Selection::Enable(tag("file"))], &[1]);
        check(&[Selection::Enable(Selector { rule: Some("one".into()), tag: Some("x".into()) })], &[1, 2, 0]);
        check(&[Selection::Enable(Selector::default())], &[1, 2]);
    }
}
