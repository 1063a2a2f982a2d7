//! Paths as Falco makes them absolute: by their text alone (scap-format.md §7).

use std::borrow::Cow;

/// Longest path made, in bytes.
pub(crate) const MAX_PATH: usize = 1024;
/// What stands for longer ones.
pub(crate) const TOO_LONG: &[u8] = b"/DIR_TOO_LONG/FILENAME_TOO_LONG";

/// `path` seen from `base`, which ends in a slash. Symbolic links are not followed.
pub fn join<'a>(base: &[u8], path: &'a [u8]) -> Cow<'a, [u8]> {
    let base_len = if path.is_empty() || path.starts_with(b"/") { 0 } else { base.len() };
    let long = base_len.saturating_add(path.len()) >= MAX_PATH;
    if long { Cow::Borrowed(TOO_LONG) } else { join_whole(base, path) }
}

/// The same for paths of any length.
pub fn join_whole<'a>(base: &[u8], path: &'a [u8]) -> Cow<'a, [u8]> {
    let base = if path.is_empty() || path.starts_with(b"/") { b"" } else { base };
    if path.starts_with(b"/") && is_plain(path) {
        return Cow::Borrowed(path);
    }
    if is_plain(path) && !path.starts_with(b".") {
        return Cow::Owned([base, path].concat());
    }
    let mut out = base.to_vec();
    append(&mut out, path);
    if out.len() > 1 && out.ends_with(b"/") {
        out.pop();
    }
    Cow::Owned(out)
}

/// Nothing in the path would change. All pairs are looked at, many at once.
fn is_plain(path: &[u8]) -> bool {
    let next = path.get(1..).unwrap_or_default();
    let changes = |(a, b): (&u8, &u8)| u8::from(*a == b'/') & (u8::from(*b == b'/') | u8::from(*b == b'.'));
    !path.ends_with(b"/") && path.iter().zip(next).fold(0, |any, pair| any | changes(pair)) == 0
}

fn append(out: &mut Vec<u8>, path: &[u8]) {
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let at_component = out.is_empty() || out.ends_with(b"/");
        rest = tail;
        if byte == b'.' && at_component {
            rest = dots(out, tail);
        } else if byte != b'/' || !out.ends_with(b"/") {
            out.push(byte);
        }
    }
}

/// A component that starts with a dot, of which `tail` is the rest; gives what follows it.
fn dots<'a>(out: &mut Vec<u8>, tail: &'a [u8]) -> &'a [u8] {
    match tail {
        [] | [b'.'] | [b'.', b'/', ..] | [b'/', ..] => {}
        _ => {
            out.push(b'.');
            return tail;
        }
    }
    if tail.starts_with(b".") && out.len() > 1 {
        out.pop();
        let parent = out.iter().rposition(|b| *b == b'/').map_or(0, |at| at.saturating_add(1));
        out.truncate(parent);
    }
    let end = tail.iter().position(|b| *b == b'/').map_or(tail.len(), |at| at.saturating_add(1));
    tail.get(end..).unwrap_or_default()
}

/// The part before the last slash; `/` if that is first or there is none.
pub fn directory(path: &[u8]) -> &[u8] {
    let last = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    if last == 0 { b"/" } else { path.get(..last).unwrap_or(b"/") }
}

/// The part behind the last slash.
pub fn filename(path: &[u8]) -> &[u8] {
    let start = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at.saturating_add(1));
    path.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, path: &str, joined: &str) {
        let actual = join(base.as_bytes(), path.as_bytes());
        assert_eq!(String::from_utf8_lossy(&actual), joined, "{base} + {path}");
    }

    #[test]
    fn joins_as_the_specification_says() {
        check("/", "../", "/");
        check("a", "../", "a..");
        check("", "..", "");
        check("/home/", "/etc/passwd", "/etc/passwd");
        check("/home/", "x/./y//z/", "/home/x/y/z");
        check("/home/", "x/y.z", "/home/x/y.z");
        check("a", "x", "ax");
        check("a", "/x", "/x");
        check("/home/", ".x", "/home/.x");
        check("/home/a/", "../../../etc", "/etc");
        check("/", "/etc/../etc/./shadow", "/etc/shadow");
        check("/", "/a/.b/..c/...", "/a/.b/..c/...");
        check("/", "", "");
        check("/tmp/", ".", "/tmp");
        check("/", "//", "/");
        check("/", &"x".repeat(1024), "/DIR_TOO_LONG/FILENAME_TOO_LONG");
    }

    #[test]
    fn plain_paths_are_not_copied() {
        assert!(matches!(join(b"/", b"/etc/passwd"), Cow::Borrowed(_)));
    }

    #[test]
    fn directory_and_filename() {
        assert_eq!(directory(b"/etc/passwd"), b"/etc");
        assert_eq!(directory(b"/etc"), b"/");
        assert_eq!(filename(b"/etc/passwd"), b"passwd");
        assert_eq!(filename(b"/"), b"");
    }
}
