//! What may have been meant where a condition cannot be read any further.

use crate::{
    ast::{Modifier, Op, Transformer},
    suggest::{did_you_mean, nearest},
};

/// Operators of other languages, and ours.
const FOREIGN: [(&str, &str); 10] = [
    ("is", "="),
    ("eq", "="),
    ("equals", "="),
    ("ne", "!="),
    ("gt", ">"),
    ("ge", ">="),
    ("lt", "<"),
    ("le", "<="),
    ("like", "glob"),
    ("matches", "regex"),
];

/// Joining words of other languages, and ours.
const JOINS: [(&str, &str); 4] = [("&&", "and"), ("||", "or"), ("&", "and"), ("|", "or")];

/// What to do about text where an operator should stand.
pub(super) fn operator(rest: &str) -> String {
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    if word == "not" {
        return "write the 'not' in front of the field".to_owned();
    }
    let names = || Op::ALL.iter().map(|op| op.name());
    let foreign = FOREIGN.iter().find(|(foreign, _)| word.eq_ignore_ascii_case(foreign));
    let ours =
        foreign.map(|(_, ours)| *ours).or_else(|| names().find(|name| word.eq_ignore_ascii_case(name)));
    ours.map_or_else(|| did_you_mean(word, names()), |ours| format!("did you mean '{ours}'?"))
}

/// What to do about text that follows a whole condition; `last` is the word before it.
pub(super) fn behind(last: &str, rest: &str) -> String {
    let word = rest.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let join = JOINS.iter().find(|(foreign, _)| *foreign == lower).map(|(_, ours)| *ours);
    let join = join.or_else(|| ["and", "or"].into_iter().find(|ours| *ours == lower));
    if let Some(join) = join.or_else(|| nearest(&lower, ["and", "or"].into_iter())) {
        return format!("did you mean '{join}'?");
    }
    match rest.chars().next() {
        Some('(') => call(last),
        Some(')') => "a ')' is too many".to_owned(),
        _ if last != "not" && last.eq_ignore_ascii_case("not") => "did you mean 'not'?".to_owned(),
        _ if matches!(last, "<" | ">") => format!("did you mean '{last}='?"),
        _ if is_operator(rest) => {
            format!("'{last}' is read as a macro: the name of a field has a dot, like proc.name")
        }
        _ => "join conditions with 'and' or 'or', and put quotes around a value that has blanks".to_owned(),
    }
}

/// `word(…)` or `word (…)` that is no transformer.
fn call(word: &str) -> String {
    let val = Transformer::Val.name();
    if word == val {
        return format!("'{val}(…)' stands on the right side only, without a blank");
    }
    let transformers = || Transformer::ALL.iter().map(|t| t.name());
    if transformers().any(|name| name == word) {
        return format!("write '{word}(' without a blank");
    }
    did_you_mean(word, transformers().chain([val]).chain(Modifier::ALL.iter().map(|m| m.name())))
}

fn is_operator(rest: &str) -> bool {
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    rest.starts_with(['=', '<', '>', '!']) || Op::ALL.iter().any(|op| op.name() == word)
}
