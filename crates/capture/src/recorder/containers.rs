//! What runtimes tell of containers stands in a capture before the first event of the container: until it is known,
//! or known not to come, events wait in their order.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashSet;
use saker_events::{Event, OwnedEvent, container::Container, table::code, write};

/// Bytes of events that wait; with more, none waits any longer.
const MAX_HELD_BYTES: usize = 32 << 20;
/// Containers remembered as told; with more, all are told once more.
const MAX_TOLD: usize = 65_536;
/// What one of the event's parameters costs beside its bytes.
const OVERHEAD: usize = 128;

/// The containers of the events that were recorded, and the events that wait for one of them.
#[derive(Debug, Default)]
pub(super) struct Containers {
    told: FxHashSet<String>,
    awaited: Vec<Arc<Container>>,
    held: VecDeque<OwnedEvent>,
    held_bytes: usize,
}

impl Containers {
    /// Takes note of an event's container. Returns the text about it if that is to be written now.
    pub(super) fn meet(&mut self, container: &Arc<Container>) -> Option<Vec<u8>> {
        let awaited = self.awaited.iter().any(|known| Arc::ptr_eq(known, container));
        if awaited || self.told.contains(&container.full_id) {
            return None;
        }
        if container.is_pending() {
            self.awaited.push(Arc::clone(container));
            return None;
        }
        self.tell(container)
    }

    fn tell(&mut self, container: &Container) -> Option<Vec<u8>> {
        let text = container.to_json()?;
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        self.told.insert(container.full_id.clone());
        Some(text)
    }

    /// Whether events have to wait.
    pub(super) fn waits(&self) -> bool {
        let room = self.held_bytes < MAX_HELD_BYTES;
        room && self.awaited.iter().any(|container| container.is_pending())
    }

    /// Keeps an event until [`Self::next`] gives it back.
    pub(super) fn hold(&mut self, event: &Event) {
        let owned = event.to_owned();
        self.held_bytes = self.held_bytes.saturating_add(owned.len()).saturating_add(OVERHEAD);
        self.held.push_back(owned);
    }

    /// Whether anything was held back.
    pub(super) fn has_held(&self) -> bool {
        !(self.held.is_empty() && self.awaited.is_empty())
    }

    /// The texts of the containers that were awaited, then the events that waited.
    pub(super) fn release(&mut self) -> (Vec<Vec<u8>>, VecDeque<OwnedEvent>) {
        let awaited = std::mem::take(&mut self.awaited);
        let texts = awaited.iter().filter_map(|container| self.tell(container)).collect();
        self.held_bytes = 0;
        (texts, std::mem::take(&mut self.held))
    }
}

/// The event by which a capture tells of a container.
pub(super) fn told(ts: u64, text: &[u8]) -> Vec<u8> {
    let params = [vec![0; 4], b"container\0".to_vec(), [text, b"\0"].concat()];
    write::event(ts, -1, code::ASYNCEVENT_E, &params)
}
