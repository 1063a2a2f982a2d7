//! Files compressed with gzip, piece by piece: all members in a row are one stream.

use std::io::{self, BufRead};

use flate2::{Decompress, FlushDecompress, Status};

/// Members may refer back to as many bytes as the format allows, as a power of two.
const WINDOW_BITS: u8 = 15;

/// A decompressor over a file. Unlike that of `flate2`, whose error takes what came out before it along, it gives every
/// byte before the damage, so pieces may be large.
pub(crate) struct Gunzip<R> {
    file: R,
    member: Decompress,
}

impl<R: BufRead> Gunzip<R> {
    pub(crate) fn new(file: R) -> Self {
        Self { file, member: Decompress::new_gzip(WINDOW_BITS) }
    }

    /// Fills some of the room, which is not empty; 0 bytes are the end.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let packed = self.file.fill_buf()?;
            let (read, made) = (self.member.total_in(), self.member.total_out());
            if packed.is_empty() && read == 0 {
                return Ok(0);
            }
            let done = self.member.decompress(packed, room, FlushDecompress::None);
            let (read, made) =
                (between(read, self.member.total_in()), between(made, self.member.total_out()));
            self.file.consume(read);
            if matches!(done, Ok(Status::StreamEnd)) {
                self.member = Decompress::new_gzip(WINDOW_BITS);
            }
            match done {
                _ if made > 0 => return Ok(made),
                Ok(Status::StreamEnd) => {}
                Ok(_) if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(damage) => return Err(damage.into()),
            }
        }
    }
}

/// What a counter grew by.
fn between(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
