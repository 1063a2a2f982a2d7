//! The filter of opens: tables that the rules give, and their way into the probe. `filter.h` is the other side.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    mem::offset_of,
    sync::atomic::Ordering::Relaxed,
};

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData, MapError},
};

use crate::{
    mapped::Mapped,
    object,
    probe::{ProbeError, map},
};

/// Kinds of opens that a filter tells apart: bit 0 for reading, 1 for writing, 2 for a directory, 3 success.
pub const FILTER_KINDS: usize = 16;
const STATES: usize = 1 << 13;
const CELLS: usize = 1 << 18;
const SLOTS: usize = 2;
/// Words of a table that come before its cells, and all.
const HEAD_WORDS: usize = offset_of!(Raw, next) / size_of::<u64>();
const TABLE_WORDS: usize = size_of::<Raw>() / size_of::<u64>();
const WORDS: usize = SLOTS * TABLE_WORDS;

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

    /// Words with cells of the filter's states.
    fn cell_words(&self, filter: &PathFilter) -> usize {
        filter.bits.len().checked_shl(self.shift).unwrap_or(CELLS).div_ceil(2)
    }
}

/// The probe's filter.
pub(crate) struct Filter {
    tables: Array<MapData, Raw>,
    in_use: Array<MapData, u32>,
    mapped: Mapped,
    slot: usize,
    /// What was put into use.
    used: u32,
    /// Words of the table in use that decide: those of cells that no state has are never read.
    words: usize,
    /// Their sum.
    sum: u64,
    hasher: RandomState,
    looks: u32,
    whole: bool,
}

/// A table is large: it is looked at each time this many seconds are over.
const LOOK_SECONDS: u32 = 4;

impl Filter {
    pub(crate) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let tables = ebpf.map("filters").and_then(object::fd_of).ok_or(ProbeError::Absent("filters"))?;
        let mapped = Mapped::new(tables, WORDS).map_err(MapError::from);
        let refused = |error| ProbeError::Map { name: "filters", error: Box::new(error) };
        Ok(Self {
            mapped: mapped.map_err(refused)?,
            tables: map(ebpf, "filters")?,
            in_use: map(ebpf, "filter_use")?,
            slot: 0,
            used: 0,
            words: 0,
            sum: 0,
            hasher: RandomState::new(),
            looks: 0,
            whole: true,
        })
    }

    /// Puts a filter into use, or none. Returns whether it fits. A program that reads the table before is not
    /// disturbed: the new one goes into the other slot.
    pub(crate) fn set(&mut self, filter: Option<&PathFilter>, mode: FilterMode) -> Result<bool, MapError> {
        let raw = filter.and_then(|filter| Some((Raw::new(filter)?, filter)));
        let (mut in_use, mut words) = (0, 0);
        if let Some((raw, filter)) = &raw {
            let slot = self.slot.wrapping_add(1) % SLOTS;
            let number = u32::try_from(slot).unwrap_or_default();
            self.tables.set(number, raw.as_ref(), 0)?;
            self.slot = slot;
            in_use = number | if mode == FilterMode::Drop { 2 } else { 4 };
            words = HEAD_WORDS.saturating_add(raw.cell_words(filter));
        }
        self.in_use.set(0, in_use, 0)?;
        (self.used, self.words) = (in_use, words);
        self.sum = self.sum_in_use();
        Ok(raw.is_some() || filter.is_none())
    }
}

impl Filter {
    /// Once a second: whether the probe's maps have what was put there.
    pub(crate) fn is_whole(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOK_SECONDS) {
            self.whole = self.words == 0 || self.sum_in_use() == self.sum;
        }
        self.whole && self.in_use.get(&0, 0).is_ok_and(|used| used == self.used)
    }

    /// With a key of its own, so that nobody can make another table with the same sum.
    fn sum_in_use(&self) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let table = self.mapped.words().chunks_exact(TABLE_WORDS).nth(self.slot);
        table.into_iter().flatten().take(self.words).for_each(|word| hasher.write_u64(word.load(Relaxed)));
        hasher.finish()
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
