//! The filter of opens: tables that the rules give, and their way into the probe. `filter.h` is the other side.

use std::{
    hash::{BuildHasher, RandomState},
    os::fd::{AsFd, OwnedFd},
};

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData, MapError},
};

use crate::{
    bpf, object,
    probe::{ProbeError, map},
};

/// Kinds of opens that a filter tells apart: bit 0 for reading, 1 for writing, 2 for a directory, 3 success.
pub const FILTER_KINDS: usize = 16;
const STATES: usize = 1 << 13;
const CELLS: usize = 1 << 18;
const SLOTS: u32 = 2;

/// What opens can match a rule: two automata that read a path together, byte by byte. An open is reported if
/// the bits of its kind and those of both last states have one in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFilter {
    /// The bits of each kind of open: 0 if none is to be reported, all if every one is.
    pub kinds: [u64; FILTER_KINDS],
    /// The class of each byte, less than `stride`.
    pub classes: [u8; 256],
    /// How many classes there are.
    pub stride: u32,
    /// Where the second automaton starts; the first one starts at 0.
    pub second: u32,
    /// For each state the next one by class.
    pub next: Vec<u16>,
    /// The bits of each state.
    pub bits: Vec<u64>,
}

/// What to do with opens that the filter rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FilterMode {
    /// Leave them out and count them.
    #[default]
    Drop,
    /// Hand them over as [`crate::Item::Rejected`], to prove that no rule matches.
    Mark,
}

/// The probe's `struct filter`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    kinds: [u64; FILTER_KINDS],
    bits: [u64; STATES],
    shift: u32,
    second: u32,
    classes: [u8; 256],
    next: [u32; CELLS],
}

#[expect(unsafe_code, reason = "map values are written as plain bytes")]
// SAFETY: only integers, whose sizes leave no padding, and any bytes are valid.
unsafe impl Pod for Raw {}

/// Puts the items at the start of the slots. Returns whether there is room.
fn fill<T: Copy>(slots: &mut [T], items: &[T]) -> bool {
    let room = slots.get_mut(..items.len());
    room.map(|slots| slots.copy_from_slice(items)).is_some()
}

impl Raw {
    fn zeroed() -> Box<Self> {
        #[expect(unsafe_code, reason = "too large to be made on the stack first")]
        // SAFETY: any bytes are valid, see `Pod`.
        unsafe {
            Box::<Self>::new_zeroed().assume_init()
        }
    }

    /// `None` if the filter is larger than the probe's tables. There a state is the number of its first cell, and each
    /// has as many cells as a power of two.
    fn new(filter: &PathFilter) -> Option<Box<Self>> {
        let mut raw = Self::zeroed();
        let stride = filter.stride.checked_next_power_of_two()?;
        raw.shift = stride.trailing_zeros();
        raw.second = filter.second.checked_shl(raw.shift)?;
        (raw.kinds, raw.classes) = (filter.kinds, filter.classes);
        let rows = raw.next.chunks_mut(usize::try_from(stride).ok()?);
        let states = filter.next.chunks(usize::try_from(filter.stride.max(1)).ok()?);
        let fits = states.len() <= rows.len() && fill(&mut raw.bits, &filter.bits);
        for (row, next) in rows.zip(states) {
            row.iter_mut().zip(next).for_each(|(cell, state)| *cell = u32::from(*state) << raw.shift);
        }
        fits.then_some(raw)
    }
}

/// The probe's filter.
pub(crate) struct Filter {
    tables: Array<MapData, Raw>,
    in_use: Array<MapData, u32>,
    tables_fd: OwnedFd,
    slot: u32,
    /// What was put into use.
    used: u32,
    /// Of the table in use; none if it is not in use.
    sum: Option<u64>,
    hasher: RandomState,
    looks: u32,
    whole: bool,
}

/// A table is large: it is looked at each time this many seconds are over.
const LOOK_SECONDS: u32 = 4;

impl Filter {
    pub(crate) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let tables_fd = ebpf.map("filters").and_then(object::fd_of).ok_or(ProbeError::Absent("filters"))?;
        let tables_fd = tables_fd.try_clone_to_owned().map_err(MapError::from);
        let refused = |error| ProbeError::Map { name: "filters", error: Box::new(error) };
        Ok(Self {
            tables_fd: tables_fd.map_err(refused)?,
            tables: map(ebpf, "filters")?,
            in_use: map(ebpf, "filter_use")?,
            slot: 0,
            used: 0,
            sum: None,
            hasher: RandomState::new(),
            looks: 0,
            whole: true,
        })
    }

    /// Puts a filter into use, or none. Returns whether it fits. A program that reads the table before is not
    /// disturbed: the new one goes into the other slot.
    pub(crate) fn set(&mut self, filter: Option<&PathFilter>, mode: FilterMode) -> Result<bool, MapError> {
        let raw = filter.and_then(Raw::new);
        let mut in_use = 0;
        if let Some(raw) = &raw {
            let slot = self.slot.wrapping_add(1) % SLOTS;
            self.tables.set(slot, raw.as_ref(), 0)?;
            self.slot = slot;
            in_use = slot | if mode == FilterMode::Drop { 2 } else { 4 };
        }
        self.in_use.set(0, in_use, 0)?;
        (self.used, self.sum) = (in_use, raw.as_deref().map(|raw| self.sum_of(raw)));
        Ok(raw.is_some() || filter.is_none())
    }
}

impl Filter {
    /// Once a second: whether the probe's maps have what was put there.
    pub(crate) fn is_whole(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOK_SECONDS) {
            self.whole = self.sum.is_none() || self.sum_in_use() == self.sum;
        }
        self.whole && self.in_use.get(&0, 0).is_ok_and(|used| used == self.used)
    }

    fn sum_in_use(&self) -> Option<u64> {
        let mut raw = Raw::zeroed();
        bpf::lookup(self.tables_fd.as_fd(), self.slot, &mut *raw).ok()?;
        Some(self.sum_of(&raw))
    }

    /// With a key of its own, so that nobody can make another table with the same sum.
    fn sum_of(&self, raw: &Raw) -> u64 {
        let Raw { kinds, bits, shift, second, classes, next } = raw;
        self.hasher.hash_one((kinds, bits.as_slice(), shift, second, classes.as_slice(), next.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_too_large_is_refused() {
        let filter = |bits| PathFilter {
            kinds: [1; FILTER_KINDS],
            classes: [0; 256],
            stride: 1,
            second: 0,
            next: vec![0],
            bits: vec![1; bits],
        };
        assert_eq!(Raw::new(&filter(STATES)).unwrap().bits[STATES - 1], 1);
        assert!(Raw::new(&filter(STATES + 1)).is_none());
    }
}
