//! How often the API is written to for no other reason than newer figures: once a minute for an object, and for so
//! many objects a minute in all. Who had to wait comes first in the next round, for all ask again.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// For one object.
const PER_OBJECT: Duration = Duration::from_mins(1);
/// For all objects, within [`PER_OBJECT`]: with the Lease, which is renewed 20 times, below 60 writes a minute.
const IN_ALL: usize = 36;

/// When what was written last.
#[derive(Debug, Default)]
pub struct Pace {
    by_object: HashMap<String, Instant>,
    recent: VecDeque<Instant>,
}

impl Pace {
    /// Whether an object may be written now for newer figures alone.
    pub fn allows_figures(&mut self, object: &str, now: Instant) -> bool {
        while self.recent.front().is_some_and(|at| now.duration_since(*at) >= PER_OBJECT) {
            self.recent.pop_front();
        }
        self.allows(object, now) && self.recent.len() < IN_ALL
    }

    /// Whether an object that is not written more than once a minute may be written now.
    pub fn allows(&self, object: &str, now: Instant) -> bool {
        self.by_object.get(object).is_none_or(|at| now.duration_since(*at) >= PER_OBJECT)
    }

    /// Takes note of a write; `figures` if there was no other reason for it.
    pub fn wrote(&mut self, object: &str, figures: bool, now: Instant) {
        // What was not written for a minute may be written anyway.
        self.by_object.retain(|_, at| now.duration_since(*at) < PER_OBJECT);
        self.by_object.insert(object.to_owned(), now);
        self.recent.extend(figures.then_some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_once_a_minute() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert!(pace.allows_figures("a", start));
        pace.wrote("a", true, start);
        let late = start + Duration::from_secs(59);
        assert!(!pace.allows_figures("a", late) && !pace.allows("a", late) && pace.allows_figures("b", late));
        assert!(pace.allows_figures("a", start + PER_OBJECT));
    }

    #[test]
    fn a_thousand_objects_share_a_minute() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut round = |now| {
            let names = (0..1000).map(|i| format!("{i}"));
            let allowed: Vec<_> = names.filter(|name| pace.allows_figures(name, now)).take(2000).collect();
            allowed
                .iter()
                .filter(|name| {
                    let allowed = pace.allows_figures(name, now);
                    if allowed {
                        pace.wrote(name, true, now);
                    }
                    allowed
                })
                .count()
        };
        assert_eq!(round(start), IN_ALL);
        assert_eq!(round(start + Duration::from_secs(30)), 0);
        assert_eq!(round(start + PER_OBJECT), IN_ALL);
    }
}
