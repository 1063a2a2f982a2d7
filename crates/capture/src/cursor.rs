//! Little-endian values from the start of a slice.

/// What is left of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// `u16 len + bytes`.
    pub(crate) fn text(&mut self) -> Option<Vec<u8>> {
        let len = self.u16()?;
        self.bytes(usize::from(len)).map(<[u8]>::to_vec)
    }

    /// Whether another entry of a list may follow: fewer than four bytes are padding (scap-format.md §1).
    pub(crate) fn has_entry(&self) -> bool {
        self.0.len() >= 4
    }

    /// The entry that a `u32` of its own length announces; the length counts itself if `inclusive`.
    pub(crate) fn entry(&mut self, inclusive: bool) -> Option<Self> {
        let announced = usize::try_from(self.u32()?).ok()?;
        let own = if inclusive { 4 } else { 0 };
        self.bytes(announced.checked_sub(own)?).map(Self)
    }
}
