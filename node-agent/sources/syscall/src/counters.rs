//! What the probe counted: sent, lost and cut records by CPU and class.

use aya::{
    Pod,
    maps::{MapData, MapError, PerCpuArray},
};

use crate::record::Lane;

/// Kinds of records that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// New processes and threads.
    Fork,
    /// Processes that run a new program.
    Exec,
    /// Ended processes and threads.
    Exit,
    /// Failed attempts to run a program.
    ExecFailed,
    /// The open family.
    Open,
    /// Outgoing connections.
    Connect,
    /// Every other system call.
    Call,
}

impl Class {
    /// All, in the order of the probe's numbers.
    pub const ALL: [Self; 7] =
        [Self::Fork, Self::Exec, Self::Exit, Self::ExecFailed, Self::Open, Self::Connect, Self::Call];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::ExecFailed => "exec_failed",
            Self::Open => "open",
            Self::Connect => "connect",
            Self::Call => "call",
        }
    }

    /// The ring its records go through.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Fork | Self::Exec | Self::Exit => Lane::Rare,
            Self::ExecFailed | Self::Open | Self::Connect | Self::Call => Lane::Bulk,
        }
    }
}

/// The probe's `struct counters`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Raw {
    seq: [u64; Lane::ALL.len()],
    events: [u64; Class::ALL.len()],
    ring_full: [u64; Class::ALL.len()],
    truncated: [u64; Class::ALL.len()],
    filtered: [u64; Class::ALL.len()],
}

#[expect(unsafe_code, reason = "map values are read as plain bytes")]
// SAFETY: only u64 fields, so no padding, and any bytes are valid.
unsafe impl Pod for Raw {}

/// Records of one class on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCounters {
    /// What kind.
    pub class: Class,
    /// Sent to user space.
    pub events: u64,
    /// Lost because the ring was full.
    pub ring_full: u64,
    /// With a parameter cut or left out; they count as sent or lost too.
    pub truncated: u64,
    /// Left out, or marked, by the filter; no record was made for those left out.
    pub filtered: u64,
}

/// Records of one CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuCounters {
    /// The CPU's number.
    pub cpu: u16,
    /// One row per class.
    pub classes: [ClassCounters; Class::ALL.len()],
}

impl CpuCounters {
    /// Lost records of one lane.
    pub fn dropped(&self, lane: Lane) -> u64 {
        self.classes.iter().filter(|row| row.class.lane() == lane).map(|row| row.ring_full).sum()
    }
}

/// Records of all CPUs, from the start of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// One row per possible CPU.
    pub cpus: Vec<CpuCounters>,
}

impl Counters {
    pub(crate) fn read(map: &PerCpuArray<MapData, Raw>) -> Result<Self, MapError> {
        let values = map.get(&0, 0)?;
        let cpus = values.iter().enumerate();
        Ok(Self {
            cpus: cpus.map(|(cpu, raw)| cpu_counters(u16::try_from(cpu).unwrap_or(u16::MAX), raw)).collect(),
        })
    }

    /// Sum of one column over CPUs and classes.
    pub fn total(&self, column: impl Fn(&ClassCounters) -> u64) -> u64 {
        self.cpus.iter().flat_map(|cpu| &cpu.classes).map(column).sum()
    }
}

fn cpu_counters(cpu: u16, raw: &Raw) -> CpuCounters {
    let at =
        |column: &[u64; Class::ALL.len()], class: Class| column.get(class as usize).copied().unwrap_or(0);
    let classes = Class::ALL.map(|class| ClassCounters {
        class,
        events: at(&raw.events, class),
        ring_full: at(&raw.ring_full, class),
        truncated: at(&raw.truncated, class),
        filtered: at(&raw.filtered, class),
    });
    CpuCounters { cpu, classes }
}
