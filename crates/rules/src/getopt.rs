//! getopt(3), short options only, up to the first word that is no option. Long options are passed over.

use crate::value::Value;

/// A letter of a command line's options.
enum Found {
    Unknown,
    Flag(u8),
    /// An option with its value, or without the value that it should have.
    Valued(u8, Option<Vec<u8>>),
}

/// Without a selector every option and value in order (`?` for an unknown option, an empty text for one whose value
/// is missing); with one the last value of that option, the option itself if it is a flag, or nothing if it was not
/// given.
pub(crate) fn getopt(args: &[Vec<u8>], options: &[u8], selector: Option<u8>) -> Option<Value<'static>> {
    let found = parse(args, options);
    let Some(wanted) = selector else {
        let words = found.into_iter().flat_map(Found::words);
        return Some(Value::List(words.map(Value::owned).collect()));
    };
    found.into_iter().rev().find_map(|f| f.selected(wanted)).map(Value::owned)
}

impl Found {
    fn words(self) -> Vec<Vec<u8>> {
        match self {
            Self::Unknown => vec![b"?".to_vec()],
            Self::Flag(option) => vec![vec![option]],
            Self::Valued(option, Some(value)) => vec![vec![option], value],
            Self::Valued(_, None) => vec![Vec::new()],
        }
    }

    fn selected(self, wanted: u8) -> Option<Vec<u8>> {
        match self {
            Self::Flag(option) if option == wanted => Some(vec![option]),
            Self::Valued(option, value) if option == wanted => Some(value.unwrap_or_default()),
            _ => None,
        }
    }
}

fn parse(args: &[Vec<u8>], options: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_slice() {
            b"--" => break,
            [b'-', b'-', ..] => {}
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                parse_cluster(cluster, options, &mut words, &mut found);
            }
            _ => break,
        }
    }
    found
}

/// The options of one word, `-abc` or `-ovalue`.
fn parse_cluster<'a>(
    mut cluster: &[u8],
    options: &[u8],
    words: &mut impl Iterator<Item = &'a Vec<u8>>,
    found: &mut Vec<Found>,
) {
    while let Some((option, rest)) = cluster.split_first() {
        cluster = rest;
        found.push(match takes_value(*option, options) {
            None => Found::Unknown,
            Some(false) => Found::Flag(*option),
            Some(true) if rest.is_empty() => Found::Valued(*option, words.next().cloned()),
            Some(true) => Found::Valued(*option, Some(std::mem::take(&mut cluster).to_vec())),
        });
    }
}

/// Whether an option takes a value; `None` if there is no such option.
fn takes_value(option: u8, options: &[u8]) -> Option<bool> {
    let behind = |at: usize| options.get(at.saturating_add(1)) == Some(&b':');
    let mut places = options.iter().enumerate().filter(|(_, o)| **o == option && option != b':');
    let (first, _) = places.next()?;
    Some(behind(first) || places.any(|(at, _)| behind(at)))
}
