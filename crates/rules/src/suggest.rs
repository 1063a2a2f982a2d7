//! "Did you mean": the nearest of the known names.

/// Longest name that is compared; anything longer is no typing error.
const MAX_NAME: usize = 64;

/// The known name nearest to `name`, if it is near enough to be a typing error: one edit for every
/// three letters begun. The first of several equally near ones.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.len().div_ceil(3);
    known
        .filter(|k| k.len() <= MAX_NAME && k.len().abs_diff(name.len()) <= limit)
        .filter_map(|k| Some((distance(name, k, limit)?, k)))
        .filter(|(d, _)| *d > 0)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// The help text for a misspelled name, or an empty one.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map(|k| format!("did you mean '{k}'?")).unwrap_or_default()
}

/// Levenshtein distance over bytes, one row at a time; `None` if it is more than `limit`, which most names show in a few
/// rows.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        let mut least = left;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = replaced.min(diagonal.min(left).saturating_add(1));
            *cell = left;
            least = least.min(left);
        }
        // No row has less than the one before.
        if least > limit {
            return None;
        }
    }
    row.last().copied().filter(|d| *d <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_name() {
        let known = ["proc.name", "proc.pname", "fd.name", "evt.type"];
        let check = |name, expected| assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        check("proc.nmae", Some("proc.name"));
        check("proc.pnam", Some("proc.pname"));
        check("evt.typ", Some("evt.type"));
        check("container.id", None);
        check("nmae", None);
        check("fdname", Some("fd.name"));
        check("xxxc.name", Some("proc.name"));
        check("xxxx.name", None);
        check("", None);
    }
}
