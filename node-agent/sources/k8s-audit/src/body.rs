//! The body of a request, bounded by itself and together with all others.

use std::{io::Read, mem, sync::Arc};

use flate2::read::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Refusal;

/// Bytes unpacked at once.
const STEP: usize = 64 << 10;

/// Bytes of a body, with the room they take up until it is dropped.
pub(crate) struct Body {
    bytes: Vec<u8>,
    limit: usize,
    room: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// Nothing has come; at most `limit` bytes may. `room` is what all bodies share.
    pub(crate) fn new(limit: usize, room: Arc<Semaphore>) -> Self {
        Self { bytes: Vec::new(), limit, room, held: None }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes more bytes and says how many.
    pub(crate) fn add(&mut self, more: &[u8]) -> Result<usize, Refusal> {
        if self.bytes.len().saturating_add(more.len()) > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        self.hold(more.len())?;
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    /// Puts what gzip packed in place of the packed bytes.
    pub(crate) fn unpack(&mut self) -> Result<(), Refusal> {
        let packed = mem::take(&mut self.bytes);
        let mut reader = MultiGzDecoder::new(packed.as_slice());
        let mut step = vec![0; STEP];
        loop {
            let read = reader.read(&mut step).map_err(Refusal::NotGzip)?;
            let Some(unpacked) = step.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            self.add(unpacked)?;
        }
    }

    /// Reserves room for more bytes.
    fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::Overloaded)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| Refusal::Overloaded)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], limit: usize, room: usize) -> Result<Vec<u8>, &'static str> {
        let room = Arc::new(Semaphore::new(room));
        let mut body = Body::new(limit, Arc::clone(&room));
        let mut read = || body.add(packed).and_then(|_| body.unpack());
        let result = read().map_err(|refusal| refusal.outcome());
        let bytes = body.bytes().to_vec();
        drop(body);
        result.map(|()| bytes)
    }

    #[test]
    fn bodies_are_unpacked_within_their_bounds() {
        let text = b"x".repeat(100_000);
        let gzip = packed(&text);
        let twice = [gzip.clone(), gzip.clone()].concat();
        assert_eq!(unpack(&gzip, 100_000, 200_000), Ok(text.clone()));
        assert_eq!(unpack(&twice, 200_000, 300_000), Ok(text.repeat(2)));
        assert_eq!(unpack(&gzip, 99_999, 200_000), Err("too_large"));
        assert_eq!(unpack(&gzip, 100_000, 100_000), Err("overloaded"));
        assert_eq!(unpack(&gzip[..gzip.len() - 9], 100_000, 200_000), Err("not_gzip"), "cut off");
        assert_eq!(unpack(b"{}", 100_000, 200_000), Err("not_gzip"));
    }

    #[test]
    fn the_room_is_given_back() {
        let room = Arc::new(Semaphore::new(10));
        let mut body = Body::new(10, Arc::clone(&room));
        assert_eq!(body.add(b"1234567").unwrap(), 7);
        assert_eq!(room.available_permits(), 3);
        drop(body);
        assert_eq!(room.available_permits(), 10);
    }
}
