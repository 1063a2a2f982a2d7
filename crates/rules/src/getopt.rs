//! getopt(3), short options only, up to the first word that is no option.

use crate::value::Value;

/// An option that was found. The value is missing for a flag.
struct Found {
    option: u8,
    value: Option<Vec<u8>>,
}

/// Whether an option takes a value.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Value,
    /// Only in the same word.
    Attached,
}

/// Without a selector every option and value in order (`?` for an unknown option); with one the last
/// value of that option, the option itself if it is a flag, or nothing if it was not given.
pub(crate) fn getopt(args: &[Vec<u8>], options: &[u8], selector: Option<u8>) -> Option<Value<'static>> {
    let found = parse(args, options);
    let Some(wanted) = selector else {
        let words = found.into_iter().flat_map(|f| [Some(vec![f.option]), f.value]);
        return Some(Value::List(words.flatten().map(Value::owned).collect()));
    };
    let last = found.into_iter().rfind(|f| f.option == wanted)?;
    Some(Value::owned(last.value.unwrap_or_else(|| vec![wanted])))
}

fn parse(args: &[Vec<u8>], options: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let Some(cluster) = word.strip_prefix(b"-").filter(|c| !c.is_empty() && *c != b"-") else { break };
        parse_cluster(cluster, options, &mut words, &mut found);
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
        let value = match takes(*option, options) {
            None => {
                found.push(Found { option: b'?', value: None });
                continue;
            }
            Some(Takes::Nothing) => None,
            Some(_) if !rest.is_empty() => Some(std::mem::take(&mut cluster).to_vec()),
            Some(Takes::Value) => Some(words.next().cloned().unwrap_or_default()),
            Some(Takes::Attached) => Some(Vec::new()),
        };
        found.push(Found { option: *option, value });
    }
}

fn takes(option: u8, options: &[u8]) -> Option<Takes> {
    if option == b':' {
        return None;
    }
    let at = options.iter().position(|o| *o == option)?;
    let mut behind = options.iter().skip(at.saturating_add(1));
    Some(match (behind.next(), behind.next()) {
        (Some(b':'), Some(b':')) => Takes::Attached,
        (Some(b':'), _) => Takes::Value,
        _ => Takes::Nothing,
    })
}
