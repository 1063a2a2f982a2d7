//! Records: events in the form that compiled rules read, with what is known around them.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
};

use saker_rules::schema::EventTypeId;

use crate::{
    Event,
    args::errno_name,
    container::Metadata,
    descriptor::{Descriptor, FdType, Socket},
    fd::{AT_FDCWD, Fd, O_RDONLY, O_WRONLY, UNKNOWN, number_of, resolved_path},
    host_names::HostNames,
    param, path,
    process::{Asked, Process, Processes, Standard, Threads},
    table::{self, Category, EventRow, ParamPlace, ParamType, Source, code},
    users::Users,
};

/// What every event has, whatever its source.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Counts from 1.
    pub num: u64,
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// `syscall` or `k8s_audit`.
    pub source: &'static str,
    /// The node's name, in alerts.
    pub hostname: std::sync::Arc<str>,
    /// The recorded machine's name, if it is not the node itself.
    pub machine: Option<std::sync::Arc<str>>,
    /// Time of the first event of this run or file, nanoseconds since the epoch.
    pub first_ts: u64,
    /// Time of the event before, nanoseconds since the epoch; 0 for the first.
    pub previous_ts: u64,
    /// Kind of an event that nobody's call made.
    pub async_type: Option<Cow<'static, str>>,
    /// Names of the ends of connections.
    pub host_names: HostNames,
}

impl Header {
    /// Nanoseconds since the first event.
    pub fn since_first(&self) -> u64 {
        self.ts.saturating_sub(self.first_ts)
    }

    /// Nanoseconds since the event before.
    pub fn since_previous(&self) -> u64 {
        if self.previous_ts == 0 { 0 } else { self.ts.saturating_sub(self.previous_ts) }
    }
}

/// A Kubernetes audit event.
#[derive(Debug)]
pub struct AuditRecord {
    /// What every event has.
    pub header: Header,
    /// The whole event as JSON.
    pub json: crate::audit::Json,
}

/// A syscall event with the state around it.
#[derive(Debug, Clone)]
pub struct SyscallRecord<'a> {
    /// What every event has.
    pub header: &'a Header,
    /// The event itself.
    pub event: Event<'a>,
    /// Its row of the event table.
    pub row: &'static EventRow,
    /// Where its process and the process's parents are found.
    pub processes: &'a dyn Processes,
    /// Names of users and groups.
    pub users: &'a Users,
    process: Option<&'a Process>,
    /// Found out when a rule asks.
    fd: OnceCell<Option<Fd<'a>>>,
    lacks_metadata: Cell<bool>,
    asked: Asked<'a>,
    /// Paths are made absolute whatever their length.
    whole_paths: bool,
}

impl<'a> SyscallRecord<'a> {
    /// Puts an event together with what is known around it; `None` for codes newer than the table.
    pub fn new(
        header: &'a Header,
        event: Event<'a>,
        process: Option<&'a Process>,
        processes: &'a dyn Processes,
        users: &'a Users,
    ) -> Option<Self> {
        let row = EventRow::of(event.code)?;
        Some(Self {
            header,
            event,
            row,
            processes,
            users,
            process,
            fd: OnceCell::new(),
            lacks_metadata: Cell::new(false),
            asked: Asked::default(),
            whole_paths: false,
        })
    }

    /// The process that made the event, if anything is known of it.
    pub fn process(&self) -> Option<&'a Process> {
        self.process
    }

    /// What the runtime tells of the process's container.
    pub fn metadata(&self) -> Option<&'a Metadata> {
        let container = self.process?.container.as_ref()?;
        // Asked before the answer is looked at: what comes in between is no lack.
        let pending = container.is_pending();
        let metadata = container.metadata();
        if pending && metadata.is_none() {
            self.lacks_metadata.set(true);
        }
        metadata
    }

    /// Whether somebody asked for [`Self::metadata`] while it was on its way.
    pub fn lacks_metadata(&self) -> bool {
        self.lacks_metadata.get()
    }

    /// The process's parent.
    pub fn parent(&self) -> Option<&'a Process> {
        crate::process::lineage(self.process, self.processes).nth(1)
    }

    /// Whether the first thread of the process made the event.
    pub fn is_main_thread(&self) -> Option<bool> {
        Some(self.process?.pid == self.event.tid)
    }

    /// The descriptor that the event makes or uses.
    pub fn fd(&self) -> Option<&Fd<'a>> {
        self.fd.get_or_init(|| Fd::of(self)).as_ref()
    }

    /// What stands behind a number in the process's table of descriptors.
    pub fn descriptor(&self, number: i64) -> Option<&'a Descriptor> {
        self.processes.descriptor(self.process?, number)
    }

    /// Standard input, output or error.
    pub fn standard(&self, number: u8) -> Option<&Standard<'a>> {
        self.asked.standard(self.process?, self.processes, number)
    }

    /// Living threads of the process.
    pub fn threads(&self) -> Option<Threads> {
        self.asked.threads(self.process?, self.processes)
    }

    /// How many descriptors the process has open.
    pub fn descriptors(&self) -> Option<usize> {
        self.asked.descriptors(self.process?, self.processes)
    }

    /// What the process has open by this number.
    pub fn descriptor_type(&self, number: i64) -> Option<FdType> {
        self.processes.standard(self.process?, number).map(|held| held.kind)
    }

    /// What the process's descriptors are, each type once.
    pub fn descriptor_types(&self) -> Option<&[FdType]> {
        self.asked.types(self.process?, self.processes)
    }

    /// The thread that holds what the threads of the process share.
    pub fn main(&self) -> Option<&'a Process> {
        self.processes.main(self.process?)
    }

    /// The IP connection that the event makes or uses.
    pub fn socket(&self) -> Option<&Socket> {
        self.fd()?.socket.as_ref()
    }

    /// The same event with its path as it really is, and this path, where Falco shows another: a second view for rules
    /// that would be blind otherwise.
    pub fn second_view(&self) -> Option<(Self, Cow<'a, [u8]>)> {
        self.resolved_view().or_else(|| self.whole_view())
    }

    /// The same call with other parameters, whose paths are whole.
    pub fn with_event<'b>(&self, event: Event<'b>) -> SyscallRecord<'b>
    where
        'a: 'b,
    {
        let Self { header, row, processes, users, process, .. } = *self;
        SyscallRecord {
            header,
            event,
            row,
            processes,
            users,
            process,
            fd: OnceCell::new(),
            lacks_metadata: Cell::new(false),
            asked: self.asked.again(),
            whole_paths: true,
        }
    }

    /// The same event with its path as the kernel resolved it, where that differs from the path's text: a
    /// second view for rules that symbolic links and `..` would blind. A path that the probe could not read
    /// up to the root does not count.
    fn resolved_view(&self) -> Option<(Self, Cow<'a, [u8]>)> {
        let resolved = self.resolved_path().filter(|path| path.starts_with(b"/"))?;
        let fd = self.fd().filter(|fd| fd.num >= 0 && fd.name.as_deref() != Some(resolved))?;
        let fd = OnceCell::from(Some(fd.clone().renamed(resolved)));
        Some((Self { fd, whole_paths: true, ..self.clone() }, Cow::Borrowed(resolved)))
    }

    /// The same live event with its paths whole, and the first of those that are too long for Falco, which shows the
    /// same words for all of them.
    fn whole_view(&self) -> Option<(Self, Cow<'a, [u8]>)> {
        self.event.origin?;
        let directory = self.process.map_or(0, |process| process.cwd.len());
        if self.event.params_len().saturating_add(directory) < path::MAX_PATH {
            return None;
        }
        let whole = Self { fd: OnceCell::new(), whole_paths: true, ..self.clone() };
        let (_, long) =
            self.joined_paths().zip(whole.joined_paths()).find(|(text, _)| text == path::TOO_LONG)?;
        Some((whole, Cow::Owned(long)))
    }

    /// The event's paths as far as they had to be made absolute; of opens what they open.
    fn joined_paths(&self) -> impl Iterator<Item = Vec<u8>> {
        let opened = self.open_flags().is_some() || self.is_creat();
        let name = self.fd().filter(|_| opened).and_then(|fd| Some(fd.name.as_deref()?.to_vec()));
        let relative = |at: &usize| !param::text(self.event.param(*at).unwrap_or_default()).starts_with(b"/");
        let is_path = |param: &table::Param| matches!(param.ty, ParamType::Fspath | ParamType::Fsrelpath);
        let places = self.row.params.iter().enumerate().filter(move |(_, param)| !opened && is_path(param));
        let texts = places.map(|(at, _)| at).filter(move |at| relative(at)).map(|at| self.param_text(at));
        name.into_iter().chain(texts)
    }

    /// [`path::join`], in the second view whatever the length.
    pub(crate) fn join<'p>(&self, base: &[u8], path: &'p [u8]) -> Cow<'p, [u8]> {
        if self.whole_paths { path::join_whole(base, path) } else { path::join(base, path) }
    }

    /// The path of the file that was opened, as the kernel's own file has it.
    pub fn resolved_path(&self) -> Option<&'a [u8]> {
        resolved_path(&self.event, self.row)
    }

    /// What `evt.type` shows.
    pub fn type_name(&self) -> Option<&'static str> {
        let EventTypeId(id) = table::event_type(&self.event);
        table::event_types().get(usize::from(id)).map(|t| t.name)
    }

    /// Whether a system call made the event.
    pub fn is_syscall(&self) -> bool {
        self.row.source == Source::Syscall
    }

    /// What `evt.category` shows: reading and writing count for what is read or written.
    pub fn category(&self) -> &'static str {
        match self.row.category {
            Category::IoRead | Category::IoWrite | Category::IoOther => {
                match self.fd().and_then(|fd| fd.kind) {
                    Some(kind) if kind.is_file() => "file",
                    Some(kind) if kind.is_ip() => "net",
                    Some(
                        FdType::Unix | FdType::Pipe | FdType::Event | FdType::Signalfd | FdType::Inotify,
                    ) => "ipc",
                    _ => "unknown",
                }
            }
            other => other.name(),
        }
    }

    /// The result of the call; absent for events that have none.
    pub fn result(&self) -> Option<i64> {
        if self.row.enter || self.row.is_generic() {
            return None;
        }
        let first = self.row.params.first()?;
        Some(param::number(first.ty, self.event.param(0)?)?.signed())
    }

    /// Whether the call returned an error.
    pub fn failed(&self) -> bool {
        self.result().is_some_and(|r| r < 0)
    }

    /// `SUCCESS` or the name of the error.
    pub fn result_name(&self) -> Option<&'static str> {
        let result = self.result()?;
        if result >= 0 { Some("SUCCESS") } else { errno_name(result) }
    }

    /// A parameter that is a number, by name.
    pub fn number(&self, name: &str) -> Option<u64> {
        number_of(&self.event, self.row, name)
    }

    /// Flags of a call that opens a file; `creat` has none.
    pub fn open_flags(&self) -> Option<u64> {
        let at = flags_position(self.event.code)?;
        Some(param::number(self.row.params.get(at)?.ty, self.event.param(at)?)?.bits())
    }

    /// Whether the call opens a file for reading.
    pub fn opens_to_read(&self) -> bool {
        self.open_flags().is_some_and(|flags| flags & O_RDONLY != 0)
    }

    /// Whether the call opens a file for writing; `creat` does not count.
    pub fn opens_to_write(&self) -> bool {
        self.open_flags().is_some_and(|flags| flags & O_WRONLY != 0)
    }

    /// Whether the call is `creat`.
    pub fn is_creat(&self) -> bool {
        self.event.code == code::SYSCALL_CREAT_X
    }

    /// The data that was read or written.
    pub fn buffer(&self) -> Option<&'a [u8]> {
        let (index, _) = self.row.param("data").filter(|(_, p)| p.ty == ParamType::Bytebuf)?;
        self.event.param(index)
    }

    /// Bytes read or written: the result of calls that move data.
    pub fn buffer_length(&self) -> Option<u64> {
        let io = matches!(self.row.category, Category::IoRead | Category::IoWrite | Category::IoOther);
        let known = self.fd().is_some_and(|fd| fd.kind.is_some());
        u64::try_from(self.result().filter(|_| io && known)?).ok()
    }

    /// The directory that a call's relative path started from, if the event tells it: the kernel's own.
    pub fn told_directory(&self, path: &str) -> Option<&'a [u8]> {
        let (index, _) = self.row.param(path)?;
        let before = self.row.params.iter().take(index).filter(|param| param.may_be_relative()).count();
        let place = match before {
            0 => DIRECTORY.of(self.row).or_else(|| FIRST_DIRECTORY.of(self.row)),
            _ => SECOND_DIRECTORY.of(self.row),
        };
        let told = param::text(self.event.param(place?.0)?);
        Some(told).filter(|told| told.starts_with(b"/"))
    }

    /// The same with the slash that a path is joined to.
    pub(crate) fn told_base(&self, path: &str) -> Option<Cow<'a, [u8]>> {
        match self.told_directory(path)? {
            root @ b"/" => Some(Cow::Borrowed(root)),
            directory => Some([directory, b"/"].concat().into()),
        }
    }

    /// What a relative path starts from when a call names a directory by its descriptor.
    pub fn base(&self, dirfd: i64) -> Cow<'a, [u8]> {
        if dirfd == AT_FDCWD {
            return Cow::Borrowed(self.cwd());
        }
        self.descriptor(dirfd).map_or(Cow::Borrowed(UNKNOWN), |d| [&d.name, &b"/"[..]].concat().into())
    }

    /// The working directory, ending in a slash.
    pub fn cwd(&self) -> &'a [u8] {
        let main = self.process.map(|p| self.processes.main(p));
        main.map_or(b"", |main| main.map_or(NO_CWD, |m| &m.cwd))
    }
}

/// Of the calls with one path, with two paths, and of the second of these.
static DIRECTORY: ParamPlace = ParamPlace::new("dirpath");
static FIRST_DIRECTORY: ParamPlace = ParamPlace::new("olddirpath");
static SECOND_DIRECTORY: ParamPlace = ParamPlace::new("newdirpath");

/// Where calls that open a file have their flags: nearly every rule about files asks.
fn flags_position(event_code: u16) -> Option<usize> {
    match event_code {
        code::SYSCALL_OPEN_X | code::SYSCALL_OPEN_BY_HANDLE_AT_X => Some(2),
        code::SYSCALL_OPENAT_2_X | code::SYSCALL_OPENAT2_X => Some(3),
        _ => None,
    }
}

/// The working directory of a thread whose process is not known.
const NO_CWD: &[u8] = b"./";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_opens_stand_where_they_are_sought() {
        let found = table::EVENTS.iter().filter_map(|row| Some((row, flags_position(row.code)?)));
        let names: Vec<_> = found.map(|(row, at)| (row.name, row.params[at].name)).collect();
        let opens = ["open", "openat", "openat2", "open_by_handle_at"];
        assert_eq!(names, opens.map(|name| (name, "flags")));
    }
}
