//! Syscall events to alerts.

use std::{borrow::Cow, sync::Arc};

use saker_alert::Alert;
use saker_capture::Entry;
use saker_events::{
    Event, SYSCALL_SOURCE,
    container::Container,
    fd::text_of,
    process::{Process, ProcessKey, Processes, lineage},
    record::{Header, SyscallRecord},
    table::{EventRow, Source, code, event_type},
    users::Users,
};
use saker_rules::ruleset::{Matching, Rule, RuleSet, Scratch};
use smallvec::SmallVec;

use crate::{
    alerts::{Alerts, Match},
    containers,
    links::{Followed, Follower},
    opens::Opens,
    options::Options,
    prefilter::PathTable,
    process_table::{Counters, ProcessTable},
    rules::{RulesHandle, RulesReader},
    thread_table::ThreadTable,
    waiting::{self, Held, Then, Waiting},
};

/// The output field with the path as it really is, where `fd.name` shows another: as the kernel resolved it, or whole.
const RESOLVED_PATH: &str = "evasion.resolved_path";

/// Evaluates the syscall events of one machine, in their order.
#[derive(Debug)]
pub struct SyscallEngine {
    processes: ProcessTable,
    users: Arc<Users>,
    evaluator: Evaluator,
    waiting: Waiting,
}

/// Evaluates the events of a capture, in their order, with everything that it says of the machine.
#[derive(Debug)]
pub struct CaptureEngine {
    threads: ThreadTable,
    /// No event yet but those by which the writer told its users and containers.
    opening: bool,
    evaluator: Evaluator,
    /// Says which opens rules are evaluated on; all without it.
    filter: Option<Opens>,
}

/// Rules over single events, and what goes on from one to the next.
#[derive(Debug)]
struct Evaluator {
    rules: RulesReader,
    header: Header,
    alerts: Alerts,
    matching: Matching,
    links: Option<Follower>,
    scratch: Scratch,
}

impl SyscallEngine {
    /// An engine that knows no process yet.
    pub fn new(rules: &RulesHandle, options: &Options) -> Self {
        Self {
            processes: ProcessTable::new(options.max_processes, options.boot_time)
                .with_lookup(options.containers.clone())
                .with_living(options.living.clone()),
            users: Arc::clone(&options.users),
            evaluator: Evaluator::new(rules, options),
            waiting: Waiting::default(),
        }
    }

    /// Takes note of an event without evaluating rules: what existed before the first event.
    pub fn scan(&mut self, event: &Event) {
        self.processes.before(event);
        self.processes.after(event);
    }

    /// Evaluates the rules on an event and hands over what they say.
    pub fn event(&mut self, event: &Event, sink: &mut dyn FnMut(Alert)) {
        self.release(event.ts, sink);
        self.processes.before(event);
        let known = self.processes.of_event(event);
        let origin = event.origin.filter(|_| known.is_none());
        let unknown = origin.map(|o| Process::unknown(ProcessKey { pid: o.tgid, start: o.start }));
        let around =
            Around { process: known.or(unknown.as_ref()), processes: &self.processes, users: &self.users };
        let container = around.process.and_then(|process| process.container.as_ref());
        let waits = |c: &&Arc<Container>| c.is_pending() || self.waiting.has(c);
        if let Some(container) = container.filter(waits) {
            let others_wait = self.waiting.has(container);
            let held = self.evaluator.event_or_wait(event, &around, others_wait, sink);
            let crowded_out = held.and_then(|held| self.waiting.hold(container, held));
            if let Some(held) = crowded_out {
                self.evaluator.waited(&held, &self.processes, &self.users, sink);
            }
        } else {
            self.evaluator.event(event, &around, sink);
        }
        self.processes.after(event);
    }

    /// Evaluates what need not wait any longer for metadata at this time, nanoseconds since the Unix epoch.
    pub fn release(&mut self, now: u64, sink: &mut dyn FnMut(Alert)) {
        while let Some(held) = self.waiting.ready(now) {
            self.evaluator.waited(&held, &self.processes, &self.users, sink);
        }
    }

    /// The container of the process that made an event, if it is in one.
    pub fn container(&self, event: &Event) -> Option<&Arc<Container>> {
        self.processes.of_event(event)?.container.as_ref()
    }

    /// Replaces the names of users and groups.
    pub fn set_users(&mut self, users: Arc<Users>) {
        self.processes.note_change();
        self.users = users;
    }

    /// Processes known.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// What the bounds of the process table did so far.
    pub fn counters(&self) -> Counters {
        self.processes.counters()
    }

    /// Whether events wait for metadata.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What became of events that waited for metadata.
    pub fn waiting(&self) -> waiting::Counters {
        self.waiting.counters()
    }

    /// What the bounds of the table of containers did so far.
    pub fn containers(&self) -> containers::Counters {
        self.processes.containers()
    }
}

impl CaptureEngine {
    /// An engine that knows no thread yet.
    pub fn new(rules: &RulesHandle, options: &Options) -> Self {
        let evaluator = Evaluator::new(rules, options);
        Self { threads: ThreadTable::default(), opening: true, evaluator, filter: None }
    }

    /// Leaves out opens that this table rejects; it is of the rules that the engine has from first to last.
    #[must_use]
    pub fn with_filter(self, filter: Option<PathTable>) -> Self {
        Self { filter: filter.map(Opens::new), ..self }
    }

    /// Takes note of what the capture says next; on events rules are evaluated.
    pub fn entry(&mut self, entry: Entry, sink: &mut dyn FnMut(Alert)) {
        match entry {
            Entry::Section => (self.threads, self.opening) = (self.threads.next(), true),
            Entry::Machine(machine) => {
                let name = String::from_utf8_lossy(&machine.hostname);
                self.evaluator.header.machine = Some(name.as_ref().into());
                self.threads.set_machine(&machine);
            }
            Entry::Interfaces(list) => self.threads.set_interfaces(&list),
            Entry::Users(list) => self.threads.set_users(list),
            Entry::Processes(list) => self.threads.set_processes(list),
            Entry::Fds { tid, fds } => self.threads.set_fds(tid, fds),
            Entry::Event { ref event, state_only } => {
                self.opening &= tells_of_lists(event.code);
                if state_only || self.opening { self.threads.event(event) } else { self.event(event, sink) }
            }
        }
    }

    /// What is known of the recorded machine.
    pub fn threads(&self) -> &ThreadTable {
        &self.threads
    }

    fn event(&mut self, event: &Event, sink: &mut dyn FnMut(Alert)) {
        self.threads.event(event);
        let Self { threads, evaluator, filter, .. } = self;
        if filter.as_mut().is_some_and(|opens| opens.rejects(event, threads)) {
            return evaluator.advance(event);
        }
        let around = Around { process: threads.current(), processes: threads, users: threads.users() };
        evaluator.event(event, &around, sink);
    }
}

/// Whether an event is of those by which writers tell their tables of users and containers once more.
fn tells_of_lists(event_code: u16) -> bool {
    matches!(
        event_code,
        code::USER_ADDED_E
            | code::USER_DELETED_E
            | code::GROUP_ADDED_E
            | code::GROUP_DELETED_E
            | code::CONTAINER_JSON_E
            | code::CONTAINER_JSON_2_E
            | code::ASYNCEVENT_E
    )
}

/// What `evt.asynctype` shows.
fn async_type(event: &Event, row: &'static EventRow) -> Cow<'static, str> {
    if event.code != code::ASYNCEVENT_E {
        return Cow::Borrowed(row.name);
    }
    Cow::Owned(String::from_utf8_lossy(text_of(event, row, "name")).into_owned())
}

/// What is known around an event.
struct Around<'a> {
    process: Option<&'a Process>,
    processes: &'a dyn Processes,
    users: &'a Users,
}

impl Evaluator {
    fn new(rules: &RulesHandle, options: &Options) -> Self {
        Self {
            rules: rules.reader(),
            header: Header {
                source: "syscall",
                hostname: Arc::clone(&options.hostname),
                host_names: options.host_names.clone(),
                ..Header::default()
            },
            alerts: Alerts { hits: Arc::clone(&options.hits), iso8601: options.iso8601 },
            matching: options.matching,
            links: options.links.clone().map(Follower::new),
            scratch: Scratch::default(),
        }
    }

    fn event(&mut self, event: &Event, around: &Around, sink: &mut dyn FnMut(Alert)) {
        self.advance(event);
        let rules = self.rules.load();
        if !rules.concerns(SYSCALL_SOURCE, event_type(event)) {
            return;
        }
        let Some(record) =
            SyscallRecord::new(&self.header, *event, around.process, around.processes, around.users)
        else {
            return;
        };
        let followed = self.links.as_mut().and_then(|links| links.follow(&record, rules));
        let pass = Pass { rules, matching: self.matching, alerts: &self.alerts };
        let scratch = &mut self.scratch;
        pass.views(&record, followed.as_ref(), scratch, &mut |found| self.alerts.send(found, sink));
    }

    fn advance(&mut self, event: &Event) {
        let header = &mut self.header;
        header.previous_ts = header.ts;
        header.num = event.num;
        header.ts = event.ts;
        let row = EventRow::of(event.code).filter(|row| row.source == Source::Meta);
        header.async_type = row.map(|row| async_type(event, row));
        if header.first_ts == 0 && row.is_none() {
            header.first_ts = event.ts;
        }
    }

    /// Evaluates an event of a container whose metadata may be missing. If a rule asked for it, or if alerts would
    /// pass those of an event that waits, nothing is told, and the event is to wait.
    fn event_or_wait(
        &mut self,
        event: &Event,
        around: &Around,
        others_wait: bool,
        sink: &mut dyn FnMut(Alert),
    ) -> Option<Held> {
        self.advance(event);
        let record =
            SyscallRecord::new(&self.header, *event, around.process, around.processes, around.users)?;
        let rules = self.rules.load();
        if !rules.concerns(SYSCALL_SOURCE, event_type(event)) {
            return None;
        }
        let pass = Pass { rules, matching: self.matching, alerts: &self.alerts };
        let mut matches = Vec::new();
        let followed = self.links.as_mut().and_then(|links| links.follow(&record, rules));
        let scratch = &mut self.scratch;
        let lacks = pass.views(&record, followed.as_ref(), scratch, &mut |found| matches.push(found));
        if lacks || (others_wait && !matches.is_empty()) {
            return Some(hold(&record, followed));
        }
        for found in matches {
            self.alerts.send(found, sink);
        }
        None
    }

    /// Evaluates an event that waited, with what is known by now.
    fn waited(&mut self, held: &Held, now: &dyn Processes, users: &Users, sink: &mut dyn FnMut(Alert)) {
        let Held { event, header, followed, lineage } = held;
        let then = Then { lineage, now };
        let Some(record) = SyscallRecord::new(header, event.get(), lineage.first(), &then, users) else {
            return;
        };
        let rules = self.rules.load();
        let pass = Pass { rules, matching: self.matching, alerts: &self.alerts };
        let scratch = &mut self.scratch;
        pass.views(&record, followed.as_ref(), scratch, &mut |found| self.alerts.send(found, sink));
    }
}

/// A copy of an event with the processes that its rules may ask for.
fn hold(record: &SyscallRecord, followed: Option<Followed>) -> Held {
    Held {
        event: record.event.to_owned(),
        header: record.header.clone(),
        followed,
        lineage: lineage(record.process(), record.processes).cloned().collect(),
    }
}

/// The rules that an event matched.
type Told = SmallVec<[*const Rule; 4]>;

/// The evaluation of one event.
struct Pass<'a> {
    rules: &'a RuleSet,
    matching: Matching,
    alerts: &'a Alerts,
}

impl Pass<'_> {
    /// Evaluates both views of an event. A rule that holds in either alerts once, with both paths; if only the
    /// real path made it hold, the message says so. Returns whether metadata was asked for that is on its way.
    fn views(
        &self,
        record: &SyscallRecord,
        followed: Option<&Followed>,
        scratch: &mut Scratch,
        sink: &mut dyn FnMut(Match),
    ) -> bool {
        let second = if followed.is_none() { record.second_view() } else { None };
        let path = followed.map(|(_, path)| &**path).or(second.as_ref().map(|(_, path)| &**path));
        let path = path.map(String::from_utf8_lossy);
        let mut told = Told::new();
        self.rules.evaluate(SYSCALL_SOURCE, record, self.matching, scratch, |rule| {
            told.push(rule);
            let mut found = self.alerts.of(rule, record, record.header);
            if let (Some(path), Some(alert)) = (&path, &mut found.alert) {
                alert.output_fields.insert(RESOLVED_PATH.to_owned(), path.as_ref().into());
            }
            sink(found);
        });
        let Some(path) = path else { return record.lacks_metadata() };
        let mut sink = |rule: &Rule| {
            if !told.contains(&std::ptr::from_ref(rule)) {
                sink(self.by_real_path(rule, record, &path));
            }
        };
        let mut lacks = |view: &SyscallRecord| {
            self.rules.evaluate(SYSCALL_SOURCE, view, self.matching, scratch, &mut sink);
            record.lacks_metadata() || view.lacks_metadata()
        };
        match (followed, &second) {
            (Some((event, _)), _) => lacks(&record.with_event(event.get())),
            (None, Some((view, _))) => lacks(view),
            (None, None) => record.lacks_metadata(),
        }
    }

    /// What is told of a rule that only the real path made hold.
    fn by_real_path(&self, rule: &Rule, record: &SyscallRecord, path: &str) -> Match {
        let mut found = self.alerts.of(rule, record, record.header);
        if let Some(alert) = &mut found.alert {
            alert.message.push_str(" evasion_resolved_path=");
            alert.message.push_str(path);
            alert.output_fields.insert(RESOLVED_PATH.to_owned(), path.into());
        }
        found
    }
}
