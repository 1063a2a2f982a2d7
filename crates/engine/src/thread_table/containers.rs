//! Containers of the recorded machine: what cgroups name, and what the capture tells of them (scap-format.md §6).

use std::sync::Arc;

use rustc_hash::FxHashMap;
use saker_events::{container::Container, list::items, table::code};

use super::ThreadTable;
use crate::params::Params;

/// Containers kept at most; further ones have but their ids.
const MAX_CONTAINERS: usize = 4096;
/// Bytes of texts about containers that are read at most.
const MAX_BYTES: usize = 32 << 20;
/// Names of asynchronous events about containers.
const ADDED: &[u8] = b"container";
const REMOVED: &[u8] = b"container_removed";

/// The containers by the id that is shown. All processes of one share it.
#[derive(Debug, Default)]
pub(super) struct Containers {
    by_id: FxHashMap<String, Arc<Container>>,
    /// Bytes of the texts that told of them.
    bytes: usize,
}

/// The events by which writers tell of containers, now and before.
pub(super) fn told(table: &mut ThreadTable, params: Params) {
    let is_async = params.event.code == code::ASYNCEVENT_E;
    let (name, text) =
        if is_async { (params.text("name"), params.list("data")) } else { (ADDED, params.text("json")) };
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    match name {
        ADDED => add(table, text),
        REMOVED => table.containers.remove(text),
        _ => {}
    }
}

/// The processes that are in it already learn of it too.
fn add(table: &mut ThreadTable, text: &[u8]) {
    let bytes = table.containers.bytes.saturating_add(text.len());
    let Some(told) = Container::from_json(text).filter(|_| bytes <= MAX_BYTES) else {
        table.counters.refused_containers = table.counters.refused_containers.saturating_add(1);
        return;
    };
    table.containers.bytes = bytes;
    let known = table.containers.shared(Container::new(told.full_id.clone(), told.engine));
    let Some(metadata) = told.metadata().cloned() else { return };
    if known.metadata().is_none() {
        known.set_metadata(metadata);
        return;
    }
    let told = Arc::new(told);
    table.containers.by_id.insert(told.id().to_owned(), Arc::clone(&told));
    let all = table.threads.values_mut().filter_map(|thread| thread.process.container.as_mut());
    all.filter(|known| known.id() == told.id()).for_each(|known| *known = Arc::clone(&told));
}

impl Containers {
    /// The value that all processes of a container share.
    fn shared(&mut self, found: Container) -> Arc<Container> {
        if let Some(known) = self.by_id.get(found.id()) {
            return Arc::clone(known);
        }
        let new = Arc::new(found);
        if self.by_id.len() < MAX_CONTAINERS {
            self.by_id.insert(new.id().to_owned(), Arc::clone(&new));
        }
        new
    }

    fn remove(&mut self, text: &[u8]) {
        if let Some(gone) = Container::from_json(text) {
            self.by_id.remove(gone.id());
            self.bytes = self.bytes.saturating_sub(text.len());
        }
    }
}

impl ThreadTable {
    /// Finds the container of a thread in its cgroups, unless they are what they were.
    pub(super) fn match_container(&mut self, tid: i64, cgroups: &[u8]) {
        let same = self.process(tid).is_none_or(|process| *process.cgroups == *cgroups);
        if same || items(cgroups).next().is_none() {
            return;
        }
        let container = Container::of(cgroups).map(|found| self.containers.shared(found));
        if let Some(process) = self.process_mut(tid) {
            (process.cgroups, process.container) = (cgroups.into(), container);
        }
    }
}
