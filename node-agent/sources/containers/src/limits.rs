//! How much of an answer is kept: a runtime tells what the author of an image or a pod wrote.

use saker_events::container::{Labels, Metadata, Mount};

/// Bytes of one answer.
pub(crate) const MAX_ANSWER: usize = 1 << 20;
/// Bytes of one text.
const MAX_TEXT: usize = 4096;
/// Bytes of the network plugin's report; a longer one is left out, as half of it would be no JSON.
const MAX_CNI_JSON: usize = 8192;
/// Mounts of one container.
const MAX_MOUNTS: usize = 256;
/// Labels of one container or pod.
const MAX_LABELS: usize = 256;

/// Cuts labels to size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Labels with longer values are left out, bytes.
    pub(crate) label_max_len: usize,
}

impl Limits {
    /// The labels that are kept.
    pub(crate) fn labels<'a>(self, labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Labels {
        let fits =
            |(name, value): &(&String, &String)| name.len() <= MAX_TEXT && value.len() <= self.label_max_len;
        let kept = labels.into_iter().filter(fits).take(MAX_LABELS);
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Cuts what is longer than anybody reads.
pub(crate) fn cut(mut metadata: Metadata) -> Metadata {
    let Metadata { full_id, name, image, image_id, image_digest, healthcheck, ip, .. } = &mut metadata;
    for text in [full_id, name, image, image_id, image_digest, healthcheck, ip] {
        shorten(text);
    }
    if let Some(pod) = &mut metadata.pod {
        for text in [&mut pod.name, &mut pod.namespace, &mut pod.uid, &mut pod.sandbox_id] {
            shorten(text);
        }
    }
    metadata.mounts.truncate(MAX_MOUNTS);
    for Mount { source, dest, mode, propagation, .. } in &mut metadata.mounts {
        for text in [source, dest, mode, propagation] {
            shorten(text);
        }
    }
    if metadata.cni_json.len() > MAX_CNI_JSON {
        metadata.cni_json.clear();
    }
    metadata
}

/// Cuts a text at a character's end.
fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_cut() {
        let long = "é".repeat(MAX_TEXT);
        let metadata = Metadata {
            name: long.clone(),
            cni_json: "x".repeat(MAX_CNI_JSON + 1),
            mounts: vec![Mount { source: long, ..Mount::default() }; MAX_MOUNTS + 1],
            ..Metadata::default()
        };
        let cut = cut(metadata);
        assert_eq!((cut.name.len(), cut.mounts[0].source.len()), (MAX_TEXT, MAX_TEXT));
        assert_eq!((cut.mounts.len(), cut.cni_json.as_str()), (MAX_MOUNTS, ""));
    }

    #[test]
    fn labels_that_are_too_long_are_left_out() {
        let labels = [("a", "123"), ("b", "1234")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let kept = Limits { label_max_len: 3 }.labels(labels.iter().map(|(k, v)| (k, v)));
        assert_eq!(kept.text(), "a:123");
    }
}
