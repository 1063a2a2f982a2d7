//! From lists and events to the bytes of a capture (scap-format.md §10).

use std::io::{self, Write};

use saker_events::{Event, event::length_bytes, table::EventRow};

use crate::{
    Entry, Interface, ListedFd, ListedProcess, Machine, UserList,
    block::{self, FRAME_BYTES},
    lists::{fds, interfaces, processes},
    out::Out,
    reader::STATE_ONLY,
    tail,
};

/// Longer blocks of ordinary events are refused by other readers.
const MAX_EVENT_BYTES: usize = 64 << 10;

/// Types of the blocks that are written: the newest of each.
const SECTION: u32 = 0x0A0D_0D0A;
const MACHINE: u32 = 0x201;
const INTERFACES: u32 = 0x219;
const USERS: u32 = 0x220;
const PROCESSES: u32 = 0x215;
const FDS: u32 = 0x218;
const EVENT: u32 = 0x216;
const EVENT_FLAGS: u32 = 0x217;
const EVENT_LARGE: u32 = 0x221;
const EVENT_LARGE_FLAGS: u32 = 0x222;

/// Writes a capture. The lists come first, then the events; the caller keeps the order.
pub struct Writer<W> {
    out: W,
    body: Out,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Writes nothing yet: every capture begins with [`Writer::section`].
    pub fn new(out: W) -> Self {
        Self { out, body: Out::default(), bytes: 0 }
    }

    /// Bytes written so far, before any compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the bytes go to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Gives back what the bytes went to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// The header.
    pub fn section(&mut self) -> io::Result<()> {
        self.body.u32(block::MAGIC);
        self.body.u16(block::MAJOR_VERSION);
        self.body.u16(2);
        self.body.u64(u64::MAX);
        self.block(SECTION)
    }

    /// The recorded machine.
    pub fn machine(&mut self, machine: &Machine) -> io::Result<()> {
        machine.write(&mut self.body);
        self.block(MACHINE)
    }

    /// Its interfaces.
    pub fn interfaces(&mut self, list: &[Interface]) -> io::Result<()> {
        interfaces::write(&mut self.body, list);
        self.block(INTERFACES)
    }

    /// Its users and groups.
    pub fn users(&mut self, list: &UserList) -> io::Result<()> {
        list.write(&mut self.body);
        self.block(USERS)
    }

    /// The threads that run.
    pub fn processes(&mut self, list: &[ListedProcess]) -> io::Result<()> {
        processes::write(&mut self.body, list);
        self.block(PROCESSES)
    }

    /// The descriptors of one of them. Those of unknown kind are left out.
    pub fn fds(&mut self, tid: i64, list: &[ListedFd]) -> io::Result<()> {
        fds::write(&mut self.body, tid, list);
        self.block(FDS)
    }

    /// An event with all parameters of the table, those that are missing empty. `false` if it is too long for a
    /// capture; then nothing is written.
    pub fn event(&mut self, event: &Event, state_only: bool) -> io::Result<bool> {
        let large = length_bytes(event.code) == 4;
        self.body.u16(event.cpu);
        if state_only {
            self.body.u32(STATE_ONLY);
        }
        write_event(&mut self.body, event);
        if !large && self.body.0.len().saturating_add(FRAME_BYTES) > MAX_EVENT_BYTES {
            self.body.0.clear();
            return Ok(false);
        }
        self.block(match (large, state_only) {
            (false, false) => EVENT,
            (false, true) => EVENT_FLAGS,
            (true, false) => EVENT_LARGE,
            (true, true) => EVENT_LARGE_FLAGS,
        })?;
        Ok(true)
    }

    /// What a reader gave. `false` if it is an event too long for a capture.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<bool> {
        match entry {
            Entry::Section => self.section(),
            Entry::Machine(machine) => self.machine(machine),
            Entry::Interfaces(list) => self.interfaces(list),
            Entry::Users(list) => self.users(list),
            Entry::Processes(list) => self.processes(list),
            Entry::Fds { tid, fds } => self.fds(*tid, fds),
            Entry::Event { event, state_only } => return self.event(event, *state_only),
        }
        .map(|()| true)
    }

    /// Frames the body and empties it.
    fn block(&mut self, kind: u32) -> io::Result<()> {
        self.body.0.resize(self.body.0.len().next_multiple_of(4), 0);
        let total = self.body.0.len().saturating_add(FRAME_BYTES);
        let length = u32::try_from(total).map_err(|_| io::Error::other("a list of more than 4 GiB"))?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.body.0)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.body.0.clear();
        self.bytes = self.bytes.saturating_add(total as u64);
        Ok(())
    }
}

/// The event as the format has it, and behind its end what only our own captures hold.
fn write_event(out: &mut Out, event: &Event) {
    let row = EventRow::of(event.code);
    let own = row.map_or(event.param_count(), EventRow::own_params);
    let start = out.0.len();
    out.u64(event.ts);
    out.i64(event.tid);
    out.u32(0);
    out.u16(event.code);
    out.u32(u32::try_from(own).unwrap_or(0));
    let params = (0..own).map(|at| event.param(at).unwrap_or_default());
    let width = length_bytes(event.code);
    for bytes in params.clone() {
        let length = u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
        out.bytes(length.get(..width).unwrap_or_default());
    }
    params.for_each(|bytes| out.bytes(bytes));
    let len = u32::try_from(out.0.len().saturating_sub(start)).unwrap_or(u32::MAX);
    let at = start.saturating_add(16);
    out.0.get_mut(at..at.saturating_add(4)).into_iter().for_each(|b| b.copy_from_slice(&len.to_le_bytes()));
    tail::write(out, event, own);
}
