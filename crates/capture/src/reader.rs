//! From the bytes of a capture to lists and events.

use std::io::Read;

use saker_events::{Event, table::EventRow};

use crate::{
    Error, Interface, ListedFd, ListedProcess, Machine, UserList,
    block::{self, Block, Kind},
    convert::{self, Converter, Outcome},
    cursor::Cursor,
    draft::Draft,
    lists::{fds, interfaces, processes},
    record::Record,
    tail::{self, Tail},
    window::Window,
};

/// What a capture holds, in its order.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A capture begins, the first or another in the same file: nothing known before holds.
    Section,
    /// The recorded machine.
    Machine(Machine),
    /// Its network interfaces.
    Interfaces(Vec<Interface>),
    /// Its users and groups.
    Users(UserList),
    /// The threads that ran when the capture began.
    Processes(Vec<ListedProcess>),
    /// The descriptors of one of them.
    Fds {
        /// The thread.
        tid: i64,
        /// Its descriptors.
        fds: Vec<ListedFd>,
    },
    /// An event, with the parameters of today's table. Its number counts from 1 over the whole file.
    Event {
        /// The event.
        event: Event<'a>,
        /// It changes the state alone: rules must not see it.
        state_only: bool,
    },
}

/// Bit of an event's flags: it changes the state alone.
pub(crate) const STATE_ONLY: u32 = 1;

/// Which blocks may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A section header.
    Start,
    /// Lists, or the first event.
    Lists,
    /// Events, or another section.
    Events,
}

/// Reads a capture, plain or compressed with gzip.
pub struct Reader<R> {
    window: Window<R>,
    stage: Stage,
    converter: Converter,
    /// Bytes of the block that was given last.
    given: usize,
    events: u64,
    /// The event of that block.
    record: Record,
    /// An event put together with what follows it in our own captures.
    joined: Draft,
}

impl<R: Read> Reader<R> {
    /// Reads the first bytes.
    pub fn new(capture: R) -> Result<Self, Error> {
        let window = Window::new(capture).map_err(|source| Error::Io { offset: 0, source })?;
        Ok(Self {
            window,
            stage: Stage::Start,
            converter: Converter::default(),
            given: 0,
            events: 0,
            record: Record::default(),
            joined: Draft::default(),
        })
    }

    /// The next entry; `None` at the end of the file. After an error there is nothing more to read.
    #[expect(clippy::should_implement_trait, reason = "an entry borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        loop {
            let Some(block) = self.advance()? else { return self.end() };
            match block.kind {
                Kind::Event { flags, version } => match self.record(block, flags, version)? {
                    Outcome::Dropped => {}
                    outcome => return self.event(block, outcome).map(Some),
                },
                Kind::Unknown | Kind::Section if self.stage == Stage::Lists => {}
                _ => return self.list(block).map(Some),
            }
        }
    }

    /// Enter events of old versions that found no room to wait for their exit.
    pub fn forgotten(&self) -> u64 {
        self.converter.forgotten
    }

    fn advance(&mut self) -> Result<Option<Block>, Error> {
        self.window.consume(self.given);
        self.given = 0;
        if self.stage == Stage::Start {
            block::check_start(&mut self.window)?;
        }
        let block = Block::next(&mut self.window)?;
        self.given = block.map_or(0, |b| b.total);
        Ok(block)
    }

    /// The end of the file.
    fn end(&self) -> Result<Option<Entry<'_>>, Error> {
        if self.stage == Stage::Events { Ok(None) } else { Err(Error::NoEvents) }
    }

    /// Reads the event of a block and converts it.
    fn record(&mut self, block: Block, flags: bool, version: u8) -> Result<Outcome, Error> {
        self.stage = Stage::Events;
        let body = block.body(&self.window);
        let whole = self.record.parse(body, flags, version);
        whole.ok_or_else(|| block.damaged("an event that is whole"))?;
        if let Some(outcome) = convert::at_once(self.record.code, self.record.param_count()) {
            return Ok(outcome);
        }
        let event = self.record.event(body).ok_or_else(|| block.damaged("parameters inside their event"))?;
        self.converter.convert(&event).map_err(|_| block.unconvertible(&event))
    }

    #[inline]
    fn event(&mut self, block: Block, outcome: Outcome) -> Result<Entry<'_>, Error> {
        self.events = self.events.saturating_add(1);
        let Self { window, record, converter, joined, events, .. } = self;
        let body = block.body(window);
        let event = match outcome {
            // What most events are is put together at once.
            Outcome::Kept(params) if !tail::is_at(record.behind(body)) => {
                record.event(body).map(|own| own.truncated(params).numbered(*events, record.cpu))
            }
            Outcome::Kept(params) => {
                join(joined, record, body, params).map(|whole| whole.numbered(*events, record.cpu))
            }
            Outcome::Converted | Outcome::Dropped => {
                converter.converted().map(|made| made.numbered(*events, record.cpu))
            }
        };
        let event = event.ok_or_else(|| block.damaged("parameters inside their event"))?;
        Ok(Entry::Event { event, state_only: record.flags & STATE_ONLY != 0 })
    }

    /// The header of a capture, the first in the file or another.
    fn section(&mut self, block: Block) -> Result<Entry<'_>, Error> {
        let checked = block::check_header(block.body(&self.window));
        checked.map_err(|error| match error {
            Error::NotACapture => block.damaged("the header of another capture"),
            other => other,
        })?;
        self.stage = Stage::Lists;
        self.converter.clear();
        Ok(Entry::Section)
    }

    /// Any block but an event's.
    fn list(&mut self, block: Block) -> Result<Entry<'_>, Error> {
        if block.kind == Kind::Section {
            return self.section(block);
        }
        if self.stage == Stage::Events {
            return Err(block.damaged("an event, or the header of another capture"));
        }
        let body = Cursor(block.body(&self.window));
        let entry = match block.kind {
            Kind::Machine => Machine::read(body).map(Entry::Machine),
            Kind::Interfaces(version) => interfaces::read(body, version).map(Entry::Interfaces),
            Kind::Users(version) => UserList::read(body, version).map(Entry::Users),
            Kind::Processes(version) => processes::read(body, version).map(Entry::Processes),
            Kind::Fds(version) => fds::read(body, version).map(|(tid, fds)| Entry::Fds { tid, fds }),
            Kind::Event { .. } | Kind::Section | Kind::Unknown => None,
        };
        entry.ok_or_else(|| block.damaged("a list whose entries fill it"))
    }
}

/// The event with the parameters of its tail, which stand behind the table's.
#[cold]
fn join<'a>(joined: &'a mut Draft, record: &Record, body: &'a [u8], params: usize) -> Option<Event<'a>> {
    let own = record.event(body)?.truncated(params);
    let Some(tail) = Tail::parse(record.behind(body)) else { return Some(own) };
    joined.copy(&own);
    let whole = EventRow::of(own.code).is_some_and(|row| row.own_params() == own.param_count());
    if whole {
        tail.params().try_for_each(|bytes| joined.push(bytes))?;
    }
    let mut event = joined.event()?;
    event.origin = tail.origin;
    Some(event)
}
