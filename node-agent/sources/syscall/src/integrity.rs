//! Whether the probe is as it was set up: hooks that no marker of [`crate::liveness`] passes are looked at by their
//! links, and the maps that say what is reported by what is in them, because root can change both.

use crate::Heard;

/// What was found broken at the last look.
#[derive(Debug, Default)]
pub(crate) struct Integrity {
    broken: Vec<&'static str>,
}

impl Integrity {
    /// Takes each part and whether it is whole. Gives those that changed; a part that is no longer there is not broken.
    pub(crate) fn look(&mut self, parts: impl Iterator<Item = (&'static str, bool)>) -> Vec<Heard> {
        let now: Vec<_> = parts.filter(|(_, whole)| !whole).map(|(part, _)| part).collect();
        let changed = |from: &[&'static str], to: &[&'static str], alive| -> Vec<Heard> {
            let added = to.iter().filter(|part| !from.contains(part));
            added.map(|hook| Heard { hook, alive }).collect()
        };
        let heard = [changed(&self.broken, &now, false), changed(&now, &self.broken, true)].concat();
        self.broken = now;
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_and_what_is_mended_is_told_once() {
        let mut integrity = Integrity::default();
        let mut check = |parts: &[(&'static str, bool)], expected: &[(&'static str, bool)]| {
            let heard = integrity.look(parts.iter().copied());
            let heard: Vec<_> = heard.iter().map(|heard| (heard.hook, heard.alive)).collect();
            assert_eq!(heard, expected);
        };
        check(&[("a", true), ("b", true)], &[]);
        check(&[("a", false), ("b", true)], &[("a", false)]);
        check(&[("a", false), ("b", false)], &[("b", false)]);
        check(&[("a", true)], &[("a", true), ("b", true)]);
        check(&[("a", true)], &[]);
    }
}
