//! What was found out about texts that came lately: most paths that are opened were opened before.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Bytes of the longest text remembered.
const MAX_TEXT: usize = 256;

/// Values by texts, `PLACES` at most. Where two texts have one place, the later one has it; no text is taken for another.
#[derive(Debug)]
pub(crate) struct Recent<V, const PLACES: usize> {
    places: Vec<(Vec<u8>, Option<V>)>,
}

impl<V, const PLACES: usize> Default for Recent<V, PLACES> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<V, const PLACES: usize> Recent<V, PLACES> {
    /// The place of a text, empty if it did not come lately; `None` for a text that is too long for any.
    #[inline]
    pub(crate) fn place(&mut self, text: &[u8]) -> Option<&mut Option<V>> {
        if text.len() > MAX_TEXT {
            return None;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Default::default);
        }
        let (kept, value) = self.places.get_mut(Self::at(text))?;
        if kept.as_slice() != text {
            kept.clear();
            kept.extend_from_slice(text);
            *value = None;
        }
        Some(value)
    }

    fn at(text: &[u8]) -> usize {
        let mut hasher = FxHasher::default();
        hasher.write(text);
        let hash = usize::try_from(hasher.finish()).unwrap_or(0);
        hash.checked_rem(PLACES).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn long_texts_have_no_place() {
        let mut recent = Recent::<u8, 64>::default();
        assert!(recent.place(&[b'x'; MAX_TEXT]).is_some() && recent.place(&[b'x'; MAX_TEXT + 1]).is_none());
    }

    #[test]
    fn a_text_that_came_lately_keeps_its_value() {
        let mut recent = Recent::<_, 64>::default();
        *recent.place(b"/etc/passwd").unwrap() = Some(1);
        assert_eq!(recent.place(b"/etc/passwd"), Some(&mut Some(1)));
        assert_eq!(recent.place(b"/etc/shadow"), Some(&mut None));
    }

    proptest! {
        #[test]
        fn no_text_finds_the_value_of_another(texts in vec(vec(0..3_u8, 0..12), 0..4000)) {
            let mut recent = Recent::<_, 64>::default();
            for text in &texts {
                let place = recent.place(text).unwrap();
                prop_assert!(place.as_ref().is_none_or(|known| known == text));
                *place = Some(text.clone());
            }
        }
    }
}
