//! The bytes of a capture in a bounded buffer, decompressed on the way.

use std::io::{self, BufReader, Chain, Cursor, Read};

use crate::gunzip::Gunzip;

/// Bytes of the buffer at first; it grows for longer blocks only.
const FIRST_BYTES: usize = 256 << 10;
/// Bytes of the file read at once.
const FILE_BYTES: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What the first bytes are put back before.
type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

enum Source<R> {
    Plain(Whole<R>),
    Gzip(Gunzip<Whole<R>>),
}

impl<R: Read> Source<R> {
    /// Decides by content.
    fn new(mut inner: R) -> io::Result<Self> {
        let mut first = Vec::new();
        inner.by_ref().take(2).read_to_end(&mut first)?;
        let gzip = first == GZIP_MAGIC;
        let whole = BufReader::with_capacity(FILE_BYTES, Cursor::new(first).chain(inner));
        Ok(if gzip { Self::Gzip(Gunzip::new(whole)) } else { Self::Plain(whole) })
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(room),
            Self::Gzip(gzip) => gzip.read(room),
        }
    }
}

/// A view of the stream that moves forward.
pub(crate) struct Window<R> {
    source: Source<R>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the stream before the window.
    pub(crate) offset: u64,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(inner: R) -> io::Result<Self> {
        Ok(Self { source: Source::new(inner)?, buffer: vec![0; FIRST_BYTES], start: 0, end: 0, offset: 0 })
    }

    /// What is in the buffer.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until `count` bytes are there; `false` if the stream ends before.
    #[inline]
    pub(crate) fn fill(&mut self, count: usize) -> io::Result<bool> {
        if self.end.saturating_sub(self.start) >= count { Ok(true) } else { self.read(count) }
    }

    fn read(&mut self, count: usize) -> io::Result<bool> {
        self.make_room();
        while self.end < count {
            if self.end == self.buffer.len() {
                self.grow();
            }
            match self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end = self.end.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Moves what is left to the front.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
    }

    /// Doubles a buffer that is full: memory follows the bytes that are really there, not a length that a block claims.
    fn grow(&mut self) {
        self.buffer.resize(self.buffer.len().saturating_mul(2), 0);
    }

    /// Moves forward over bytes that are in the buffer.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.bytes().len());
        self.start = self.start.saturating_add(count);
        self.offset = self.offset.saturating_add(count as u64);
    }
}
