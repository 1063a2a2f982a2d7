//! The compact form of a system call and of the process that makes it.

use saker_events::table::{EVENTS, EventRow, Param};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    record::{self, Stamp},
    unknown,
};

/// Time of a case's first record: 2026-01-02 03:04:05 UTC, nanoseconds since the Unix epoch.
const START: u64 = 1_767_323_045_000_000_000;
/// Nanoseconds between two records.
const STEP: u64 = 1_000_000;
/// Nanoseconds between two events of a case.
const SPACE: u64 = 10_000_000_000;
/// Characters of a task's name that the kernel keeps.
const COMM: usize = 15;
/// Process id of the process unless the case gives one; its parents count downwards.
const PID: u32 = 1000;
/// Generations of parents at most.
const MAX_PARENTS: usize = 100;
/// What opening calls return, unless the case says otherwise.
const FD: i64 = 3;
/// `AT_FDCWD`: paths are relative to the working directory.
const AT_FDCWD: i64 = -100;

/// One system call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SyscallCase {
    evt: String,
    proc: ProcessCase,
    #[serde(default)]
    pub user: UserCase,
    #[serde(default = "host")]
    container: String,
    #[serde(default)]
    params: Map<String, Value>,
}

/// The process, as it is after the call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessCase {
    name: String,
    exe: Option<String>,
    exepath: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    pid: Option<u32>,
    cwd: Option<String>,
    #[serde(default)]
    tty: u32,
    #[serde(default)]
    parents: Vec<ProcessCase>,
}

/// Whose process it is: root without a login unless the case says otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UserCase {
    pub name: Option<String>,
    pub uid: u32,
    gid: u32,
    loginuid: Option<u32>,
}

/// A process with its place in the family.
#[derive(Clone, Copy)]
struct Task<'a> {
    process: &'a ProcessCase,
    /// The program it was before it started its own.
    before: &'a ProcessCase,
    pid: u32,
    ppid: u32,
}

/// What a case's event becomes.
pub(super) struct Records {
    /// How the processes came to be what they are.
    pub history: Vec<Vec<u8>>,
    /// The event itself.
    pub event: Vec<u8>,
}

fn host() -> String {
    "host".to_owned()
}

impl SyscallCase {
    /// The records of the case's event number `number`.
    pub(super) fn records(&self, number: u64) -> Result<Records, String> {
        let row = self.row()?;
        let mut clock = START.saturating_add(SPACE.saturating_mul(number));
        let mut tick = || {
            clock = clock.saturating_add(STEP);
            clock
        };
        let family = self.family()?;
        let mut history = Vec::new();
        for task in &family {
            history.push(self.forked(task, tick())?);
            history.push(self.started(task, tick())?);
        }
        // The start of the last program is the event itself when that is what the case is about.
        if self.evt.starts_with("execve") {
            history.pop();
        }
        let task = family.last().ok_or("a case needs a process")?;
        let event = self.record(row, task, tick(), &self.params)?;
        Ok(Records { history, event })
    }

    fn row(&self) -> Result<&'static EventRow, String> {
        let row = record::exit_row(&self.evt)
            .ok_or_else(|| unknown("event", &self.evt, EVENTS.iter().map(|row| row.name)))?;
        let Some(name) = self.params.keys().find(|name| row.param(name).is_none()) else { return Ok(row) };
        let known: Vec<_> = row.params.iter().map(|p| p.name).collect();
        Err(format!("{} has no parameter `{name}`; it has {}", self.evt, known.join(", ")))
    }

    /// The process and its parents, the oldest first.
    fn family(&self) -> Result<Vec<Task<'_>>, String> {
        let parents = &self.proc.parents;
        if parents.len() > MAX_PARENTS || parents.iter().any(|p| !p.parents.is_empty()) {
            return Err(format!("`parents` is one list of at most {MAX_PARENTS}, the nearest first"));
        }
        let mut family: Vec<Task<'_>> = Vec::new();
        let numbered: Vec<_> = (1..=PID).rev().zip(std::iter::once(&self.proc).chain(parents)).collect();
        for (pid, process) in numbered.into_iter().rev() {
            let (before, ppid) = family.last().map_or((process, 1), |parent| (parent.process, parent.pid));
            family.push(Task { process, before, pid: process.pid.unwrap_or(pid), ppid });
        }
        Ok(family)
    }

    /// The new process as its fork tells of it: still its parent's program.
    fn forked(&self, task: &Task, ts: u64) -> Result<Vec<u8>, String> {
        let row = record::exit_row("clone").ok_or("the event table has no clone")?;
        self.record(row, &Task { process: task.before, ..*task }, ts, &Map::new())
    }

    fn started(&self, task: &Task, ts: u64) -> Result<Vec<u8>, String> {
        let row = record::exit_row("execve").ok_or("the event table has no execve")?;
        self.record(row, task, ts, &Map::new())
    }

    fn record(
        &self,
        row: &EventRow,
        task: &Task,
        ts: u64,
        given: &Map<String, Value>,
    ) -> Result<Vec<u8>, String> {
        let stamp = Stamp { ts, tid: u64::from(task.pid) };
        let value = |param: &Param| match given.get(param.name) {
            Some(value) => record::encode(param, value),
            None => self.unsaid(param, task),
        };
        let params: Vec<_> = row.params.iter().map(value).collect::<Result<_, _>>()?;
        record::record(row, stamp, &params)
    }

    /// A parameter that the case does not mention: from the process, or nothing in its type.
    fn unsaid(&self, param: &Param, task: &Task) -> Result<Vec<u8>, String> {
        let fixed = match param.name {
            "fd" => Some(json!(FD)),
            "dirfd" => Some(json!(AT_FDCWD)),
            name => self.of_process(name, task)?,
        };
        match fixed {
            Some(value) => record::encode(param, &value),
            None => Ok(record::number(param.ty, 0).unwrap_or_default()),
        }
    }

    fn of_process(&self, name: &str, task: &Task) -> Result<Option<Value>, String> {
        let process = task.process;
        let path = || process.exepath.clone().unwrap_or_else(|| format!("/usr/bin/{}", process.name));
        Ok(Some(match name {
            "exe" => json!(process.exe.as_ref().unwrap_or(&process.name)),
            "args" => json!(process.args),
            "env" => json!(process.env),
            "comm" => json!(process.name.chars().take(COMM).collect::<String>()),
            "tid" | "pid" | "vtid" | "vpid" | "pgid" | "vpgid" => json!(task.pid),
            "ptid" => json!(task.ppid),
            "cwd" => json!(process.cwd.as_deref().unwrap_or("/")),
            "cgroups" => json!([self.cgroup()?]),
            "tty" => json!(process.tty),
            "loginuid" => json!(self.user.loginuid.unwrap_or(u32::MAX)),
            "uid" => json!(self.user.uid),
            "gid" => json!(self.user.gid),
            "trusted_exepath" | "filename" => json!(path()),
            _ => return Ok(None),
        }))
    }

    /// A cgroup as a container runtime names it; rules see the first twelve digits of the id.
    fn cgroup(&self) -> Result<String, String> {
        let id = &self.container;
        if id == "host" {
            return Ok("cpu=/user.slice".to_owned());
        }
        let digits = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let cgroup = || format!("cpu=/system.slice/docker-{id:0<64}.scope");
        digits.then(cgroup).ok_or_else(|| format!("the container '{id}' is neither `host` nor hex digits"))
    }
}
