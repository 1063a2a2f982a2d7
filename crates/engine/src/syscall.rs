//! Syscall events to alerts.

use std::sync::Arc;

use saker_alert::Alert;
use saker_events::{
    Event, SYSCALL_SOURCE,
    container::Container,
    process::{Process, ProcessKey, Processes, lineage},
    record::{Header, SyscallRecord},
    users::Users,
};
use saker_rules::ruleset::{Matching, Rule, RuleSet, Scratch};
use smallvec::SmallVec;

use crate::{
    alerts::Alerts,
    containers,
    options::Options,
    process_table::{Counters, ProcessTable},
    rules::RulesHandle,
    waiting::{self, Held, Then, Waiting},
};

/// The output field with the path as the kernel resolved it, where it differs from `fd.name`.
const RESOLVED_PATH: &str = "evasion.resolved_path";

/// Evaluates the syscall events of one machine or file, in their order.
#[derive(Debug)]
pub struct SyscallEngine {
    rules: RulesHandle,
    processes: ProcessTable,
    users: Arc<Users>,
    header: Header,
    alerts: Alerts,
    matching: Matching,
    scratch: Scratch,
    waiting: Waiting,
}

impl SyscallEngine {
    /// An engine that knows no process yet.
    pub fn new(rules: RulesHandle, options: &Options) -> Self {
        Self {
            rules,
            processes: ProcessTable::new(options.max_processes, options.boot_time)
                .with_lookup(options.containers.clone()),
            users: Arc::clone(&options.users),
            header: Header {
                source: "syscall",
                hostname: Arc::clone(&options.hostname),
                ..Header::default()
            },
            alerts: Alerts { hits: Arc::clone(&options.hits), iso8601: options.iso8601 },
            matching: options.matching,
            scratch: Scratch::default(),
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
        self.advance(event);
        self.release(event.ts, sink);
        self.processes.before(event);
        self.evaluate(event, sink);
        self.processes.after(event);
    }

    /// Evaluates what need not wait any longer for metadata at this time, nanoseconds since the Unix epoch.
    pub fn release(&mut self, now: u64, sink: &mut dyn FnMut(Alert)) {
        while let Some(held) = self.waiting.ready(now) {
            self.evaluate_held(&held, sink);
        }
    }

    /// Replaces the names of users and groups.
    pub fn set_users(&mut self, users: Arc<Users>) {
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

    /// What became of events that waited for metadata.
    pub fn waiting(&self) -> waiting::Counters {
        self.waiting.counters()
    }

    /// What the bounds of the table of containers did so far.
    pub fn containers(&self) -> containers::Counters {
        self.processes.containers()
    }

    fn advance(&mut self, event: &Event) {
        let header = &mut self.header;
        header.previous_ts = header.ts;
        header.num = event.num;
        header.ts = event.ts;
        if header.first_ts == 0 {
            header.first_ts = event.ts;
        }
    }

    fn evaluate(&mut self, event: &Event, sink: &mut dyn FnMut(Alert)) {
        let known = self.processes.of_event(event);
        let origin = event.origin.filter(|_| known.is_none());
        let unknown = origin.map(|o| Process::unknown(ProcessKey { pid: o.tgid, start: o.start }));
        let process = known.or(unknown.as_ref());
        let processes: &dyn Processes = &self.processes;
        let Some(record) = SyscallRecord::new(&self.header, *event, process, processes, &self.users) else {
            return;
        };
        let rules = self.rules.load();
        let pass = Pass { rules: &rules, matching: self.matching, alerts: &self.alerts };
        let container = process.and_then(|p| p.container.as_ref());
        let waits = |c: &&Arc<Container>| c.is_pending() || self.waiting.has(c);
        let Some(container) = container.filter(waits) else {
            pass.views(&record, &mut self.scratch, &mut |alert| self.alerts.send(alert, sink));
            return;
        };
        let mut alerts = Vec::new();
        let lacks = pass.views(&record, &mut self.scratch, &mut |alert| alerts.push(alert));
        if !lacks && (alerts.is_empty() || !self.waiting.has(container)) {
            for alert in alerts {
                self.alerts.send(alert, sink);
            }
            return;
        }
        // None of these alerts was sent: the event is evaluated anew with all its rules.
        let crowded_out = self.waiting.hold(&Arc::clone(container), hold(&record, &self.users));
        if let Some(held) = crowded_out {
            self.evaluate_held(&held, sink);
        }
    }

    /// Evaluates an event with what is known by now.
    fn evaluate_held(&mut self, held: &Held, sink: &mut dyn FnMut(Alert)) {
        let Held { event, header, lineage, users } = held;
        let then = Then { lineage, now: &self.processes };
        let process = lineage.first();
        let Some(record) = SyscallRecord::new(header, event.get(), process, &then, users) else { return };
        let rules = self.rules.load();
        let pass = Pass { rules: &rules, matching: self.matching, alerts: &self.alerts };
        pass.views(&record, &mut self.scratch, &mut |alert| self.alerts.send(alert, sink));
    }
}

/// A copy of an event with the processes that its rules may ask for.
fn hold(record: &SyscallRecord, users: &Arc<Users>) -> Held {
    Held {
        event: record.event.to_owned(),
        header: record.header.clone(),
        lineage: lineage(record.process(), record.processes).cloned().collect(),
        users: Arc::clone(users),
    }
}

/// The evaluation of one event.
struct Pass<'a> {
    rules: &'a RuleSet,
    matching: Matching,
    alerts: &'a Alerts,
}

impl Pass<'_> {
    /// Evaluates both views of an event. A rule that holds in either alerts once, with both paths; if only the
    /// resolved path made it hold, the message says so. Returns whether metadata was asked for that is on its way.
    fn views(&self, record: &SyscallRecord, scratch: &mut Scratch, sink: &mut dyn FnMut(Alert)) -> bool {
        let resolved = record.resolved_view();
        let path = resolved.as_ref().and_then(SyscallRecord::resolved_path).map(String::from_utf8_lossy);
        let mut told: SmallVec<[*const Rule; 4]> = SmallVec::new();
        self.rules.evaluate(SYSCALL_SOURCE, record, self.matching, scratch, |rule| {
            told.push(rule);
            let mut alert = self.alerts.alert(rule, record, record.header);
            if let Some(path) = &path {
                alert.output_fields.insert(RESOLVED_PATH.to_owned(), path.as_ref().into());
            }
            sink(alert);
        });
        let (Some(view), Some(path)) = (&resolved, &path) else { return record.lacks_metadata() };
        self.rules.evaluate(SYSCALL_SOURCE, view, self.matching, scratch, |rule| {
            if told.contains(&std::ptr::from_ref(rule)) {
                return;
            }
            let mut alert = self.alerts.alert(rule, record, record.header);
            alert.message.push_str(" evasion_resolved_path=");
            alert.message.push_str(path);
            alert.output_fields.insert(RESOLVED_PATH.to_owned(), path.as_ref().into());
            sink(alert);
        });
        record.lacks_metadata() || view.lacks_metadata()
    }
}
