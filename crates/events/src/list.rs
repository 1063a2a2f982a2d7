//! Lists of texts as the kernel keeps them: arguments, environments, cgroups.

use saker_rules::spare;

/// The items of a NUL-separated list; the last NUL may be missing.
pub fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = list.strip_suffix(b"\0").unwrap_or(list);
    let absent = list.is_empty();
    list.split(|b| *b == 0).skip(usize::from(absent))
}

/// The items of a NUL-separated list with a blank between them.
pub fn join(list: &[u8]) -> Vec<u8> {
    let mut text = spare::text();
    text.extend(joined(list));
    text
}

/// Blanks instead of NULs.
pub(crate) fn joined(list: &[u8]) -> impl Iterator<Item = u8> {
    let list = list.strip_suffix(b"\0").unwrap_or(list);
    list.iter().map(|b| if *b == 0 { b' ' } else { *b })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_has_no_items() {
        assert_eq!(items(b"").count(), 0);
        assert_eq!(items(b"a\0").count(), 1);
        assert_eq!(items(b"a\0\0b").count(), 3);
    }
}
