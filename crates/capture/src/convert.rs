//! Events of older captures become those of today (scap-format.md §5).

pub(crate) mod rules;

use rustc_hash::FxHashMap;
use saker_events::Event;

use crate::draft::Draft;
use rules::{Action, Class, Row, Rule, Value};

/// More steps than any version needs.
const MAX_STEPS: usize = 50;
/// Bytes of enter events that wait; beyond, the exit event finds nothing and takes defaults.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// What an entry costs beside its bytes.
const KEPT_OVERHEAD: usize = 128;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing: it is old, or waits.
    Dropped,
    /// It stays, with so many of its parameters.
    Kept(usize),
    /// It is in the converter's draft.
    Converted,
}

/// An event that no rule takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unconvertible;

/// Enter events that wait for their exit, and room for the events being made.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    waiting: FxHashMap<i64, Draft>,
    waiting_bytes: usize,
    /// Enter events that found no room.
    pub(crate) forgotten: u64,
    draft: Draft,
    spare: Draft,
    freed: Vec<Draft>,
}

impl Converter {
    /// Applies rules until none is left to apply.
    pub(crate) fn convert(&mut self, event: &Event) -> Result<Outcome, Unconvertible> {
        if let Some(outcome) = at_once(event.code, event.param_count()) {
            return Ok(outcome);
        }
        let row = Row::of(event.code).ok_or(Unconvertible)?;
        match rule(row, event)?.action {
            Action::Pass => Ok(Outcome::Kept(row.params)),
            Action::Keep => {
                self.keep(event);
                Ok(Outcome::Dropped)
            }
            Action::KeepAndPass => {
                self.keep(event);
                Ok(Outcome::Kept(row.params))
            }
            Action::Add(_) | Action::Become(..) => {
                self.draft.copy(event);
                self.convert_draft()
            }
        }
    }

    /// The event that was made last.
    pub(crate) fn converted(&self) -> Option<Event<'_>> {
        self.draft.event()
    }

    /// Forgets all that waits, for a new capture in the same file.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn convert_draft(&mut self) -> Result<Outcome, Unconvertible> {
        for _ in 0..MAX_STEPS {
            let draft = std::mem::take(&mut self.draft);
            let step = self.step(&draft);
            self.draft = draft;
            if let Some(outcome) = step? {
                return Ok(outcome);
            }
            std::mem::swap(&mut self.draft, &mut self.spare);
        }
        Err(Unconvertible)
    }

    /// One rule applied; `None` if the spare draft holds what has to go on.
    fn step(&mut self, draft: &Draft) -> Result<Option<Outcome>, Unconvertible> {
        let event = draft.event().ok_or(Unconvertible)?;
        match at_once(event.code, event.param_count()) {
            Some(Outcome::Dropped) => return Ok(Some(Outcome::Dropped)),
            Some(_) => return Ok(Some(Outcome::Converted)),
            None => {}
        }
        let row = Row::of(event.code).ok_or(Unconvertible)?;
        match rule(row, &event)?.action {
            Action::Pass => return Ok(Some(Outcome::Converted)),
            Action::Keep => {
                self.keep(&event);
                return Ok(Some(Outcome::Dropped));
            }
            Action::KeepAndPass => {
                self.keep(&event);
                return Ok(Some(Outcome::Converted));
            }
            Action::Add(values) => {
                self.spare.copy(&event);
                self.append(&event, values)?;
            }
            Action::Become(code, values) => {
                self.spare.start(event.ts, event.tid, code);
                self.append(&event, values)?;
            }
        }
        Ok(None)
    }

    /// Puts the values behind what the spare draft holds.
    fn append(&mut self, event: &Event, values: &[Value]) -> Result<(), Unconvertible> {
        let enter = |v: &Value| matches!(v, Value::EnterOrDefault(_) | Value::EnterOrEmpty(_));
        let entered = values.iter().any(enter).then(|| self.take(event)).transpose()?.flatten();
        for value in values {
            let kept = entered.as_ref().and_then(Draft::event);
            self.spare.push_value(event, kept.as_ref(), *value).ok_or(Unconvertible)?;
        }
        self.freed.extend(entered.filter(|_| self.freed.len() < 64));
        Ok(())
    }

    fn keep(&mut self, event: &Event) {
        let mut kept = self.remove(event.tid).or_else(|| self.freed.pop()).unwrap_or_default();
        kept.copy(event);
        let bytes = self.waiting_bytes.saturating_add(kept.len()).saturating_add(KEPT_OVERHEAD);
        if bytes > MAX_KEPT_BYTES {
            self.forgotten = self.forgotten.saturating_add(1);
        } else {
            self.waiting_bytes = bytes;
            self.waiting.insert(event.tid, kept);
        }
    }

    /// The enter event that belongs to an exit event, if one waits for the thread.
    fn take(&mut self, event: &Event) -> Result<Option<Draft>, Unconvertible> {
        let Some(kept) = self.remove(event.tid) else { return Ok(None) };
        let belongs = kept.code().checked_add(1) == Some(event.code);
        if belongs { Ok(Some(kept)) } else { Err(Unconvertible) }
    }

    fn remove(&mut self, tid: i64) -> Option<Draft> {
        let kept = self.waiting.remove(&tid)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(kept.len()).saturating_sub(KEPT_OVERHEAD);
        Some(kept)
    }
}

/// What most events need no rule for.
#[inline]
pub(crate) fn at_once(code: u16, params: usize) -> Option<Outcome> {
    let Some(row) = Row::of(code) else { return Some(Outcome::Dropped) };
    match row.class {
        Class::Drop => Some(Outcome::Dropped),
        Class::Pass => Some(Outcome::Kept(row.params)),
        Class::ByCount if params == row.params => Some(Outcome::Kept(params)),
        Class::ByCount | Class::Convert => None,
    }
}

fn rule(row: &Row, event: &Event) -> Result<&'static Rule, Unconvertible> {
    let count = event.param_count();
    row.rules.iter().find(|r| r.params == count).ok_or(Unconvertible)
}
