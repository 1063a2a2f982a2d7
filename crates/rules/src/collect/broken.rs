//! Lists that were left out. Their names must not become ordinary values: what names one is left out, too.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    limits::MAX_YAML_EVENTS,
    place::Place,
    yaml::{self, Node, Value},
};

/// Bytes in which the name of a list or an anchor is looked for.
const WINDOW: usize = 512;

/// Names, each with its owner.
#[derive(Debug, Default)]
pub(crate) struct BrokenLists(FxHashSet<(Option<String>, String)>);

impl BrokenLists {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the owner sees one of this name.
    pub(super) fn has(&self, owner: Option<&str>, name: &str) -> bool {
        let key = |owner: Option<&str>| (owner.map(str::to_owned), name.to_owned());
        self.0.contains(&key(None)) || (owner.is_some() && self.0.contains(&key(owner)))
    }

    /// An item was refused.
    pub(crate) fn add_item(&mut self, item: &Node, file: &Place) {
        if let Some(Value::Scalar(name)) = item.get("list").map(|node| &node.value) {
            self.add(name, file);
        }
    }

    /// A file was not read to its end: its lists are looked for in its text.
    pub(crate) fn add_file(&mut self, file: &Place) {
        for name in names(file.source().text()) {
            self.add(&name, file);
        }
    }

    fn add(&mut self, name: &str, file: &Place) {
        self.0.insert((file.owner().map(str::to_owned), name.to_owned()));
    }
}

/// What may be names of lists in a text that is no YAML: rather one too many than one too few.
fn names(text: &str) -> impl Iterator<Item = String> {
    let anchors = anchors(text);
    let names = move |value| {
        let value = behind_properties(value);
        let known = value.strip_prefix('*').and_then(|alias| anchors.get(alias.split(ends_name).next()?));
        scalars(known.map_or(value, |value| behind_properties(value)))
    };
    values(text).take(MAX_YAML_EVENTS).flat_map(names).filter(|name| !name.is_empty())
}

/// What stands behind each key `list` that is in no comment.
fn values(text: &str) -> impl Iterator<Item = &str> {
    let mut end = 0_usize;
    let lines = text.split_inclusive(['\n', '\r']).map(move |line| {
        let start = end;
        end = end.saturating_add(line.len());
        (start, line)
    });
    let lines = lines.filter(|(_, line)| !line.trim_start().starts_with('#'));
    lines.flat_map(move |(start, line)| {
        let places = line.match_indices("list").map(move |(at, _)| start.saturating_add(at));
        places.filter_map(|at| behind_key(text.get(..at)?, text.get(at..)?.strip_prefix("list")?))
    })
}

/// What stands behind a key and its colon, if this is one.
fn behind_key<'t>(before: &str, after: &'t str) -> Option<&'t str> {
    let quote = before.chars().next_back().filter(|c| ['"', '\''].contains(c));
    let (before, after) = match quote {
        Some(quote) => (before.strip_suffix(quote)?, after.strip_prefix(quote)?),
        None => (before, after),
    };
    let begins = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "-{[,?".contains(c));
    let value = after.trim_start().strip_prefix(':').filter(|_| begins)?;
    let ends = quote.is_some() || value.chars().next().is_none_or(char::is_whitespace);
    ends.then(|| window(value))
}

/// What stands behind each anchor.
fn anchors(text: &str) -> FxHashMap<&str, &str> {
    let places = text.match_indices('&').take(MAX_YAML_EVENTS);
    let behind = places.filter_map(|(at, _)| window(text.get(at..)?).strip_prefix('&'));
    behind.filter_map(|rest| rest.split_at_checked(rest.find(char::is_whitespace)?)).collect()
}

fn window(text: &str) -> &str {
    text.get(..text.floor_char_boundary(WINDOW)).unwrap_or(text)
}

fn ends_name(c: char) -> bool {
    c.is_whitespace() || [',', '}', ']'].contains(&c)
}

/// A value without comments, tags, anchors and the head of a block before it.
fn behind_properties(value: &str) -> &str {
    let mut rest = value.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' | '|' | '>' => rest.find(['\n', '\r']),
            '&' | '!' => rest.find(char::is_whitespace),
            _ => break,
        };
        rest = rest.get(length.unwrap_or(rest.len())..).unwrap_or_default().trim_start();
    }
    rest
}

/// What a scalar may be: a plain one ends elsewhere within brackets.
fn scalars(value: &str) -> Vec<String> {
    let unquoted = quoted(value).and_then(|text| yaml::documents(text).ok());
    if let Some(Value::Scalar(name)) = unquoted.iter().flatten().next().map(|node| &node.value) {
        return vec![name.to_string()];
    }
    let line = value.split(['\n', '\r']).next().unwrap_or_default();
    // No longer than up to the next key: names are no more text than the file.
    let plain =
        [" #", ": ", "\":", "':"].iter().fold(line, |line, end| line.split(end).next().unwrap_or_default());
    let ends = [plain, plain.split([',', '}', ']']).next().unwrap_or_default()];
    ends.map(|name| name.trim().trim_matches(['"', '\'']).to_owned()).into()
}

/// The quoted text that this begins with.
fn quoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut escaped = false;
    let (end, _) = value.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && quote == '"' && !escaped;
        ends
    })?;
    value.get(..=end)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: BTreeSet<_> = names(text).collect();
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        check("- list: a\n  items: [b]\n-\tlist : c # d\n- items: [e]\n  list: f", &["a", "c", "f"]);
        check("- \"list\": 'a'\r- 'list': \"b\\x63\"\r\n- list: \"d # \\\" e\"", &["a", "bc", "d # \" e"]);
        check("- list:\n    a\n- list: # b\n\n  c\n- list: >-\n    d\n  items: []", &["a", "c", "d"]);
        check("- ? list\n  : a\n- !!map {list: !!str b}\n- &x list: &y c", &["a", "b", "b}", "c"]);
    }

    #[test]
    fn names_end_in_brackets_or_not() {
        check("[{list: a}]", &["a", "a}]"]);
        check("[{\"list\": \"a\", \"items\": []}, {\"items\": [\"]\"],\"list\":\"b\"}", &["a", "b"]);
        check("- list: a,b#c", &["a", "a,b#c"]);
        check("- list: a list: b, \"list\":c, 'list':d", &["a list", "b", "b, \"list", "c", "c, 'list", "d"]);
    }

    #[test]
    fn an_alias_stands_for_what_has_the_anchor() {
        check("- list: &x a\n- list: *x\n- macro: &y b\n- {list: *y}\n- list: *z", &["*z", "a", "b"]);
    }

    #[test]
    fn what_is_no_list_names_none() {
        check("# list: a\n  #- list: b\n- alist: c\n- lists: d\n- list:e\n- list\n- list:\n", &[]);
    }
}
