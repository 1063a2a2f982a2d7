//! The processes that exist already.

use std::{
    fs::File,
    io::{self, Read},
};

use saker_events::Event;

use crate::{
    delivery::Delivery,
    record::{self, Record},
};

/// More than any read of an iterator returns.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads records until the iterator ends. Returns how many.
pub(crate) fn read_all(
    mut from: File,
    delivery: &mut Delivery,
    f: &mut dyn FnMut(&Event<'_>),
) -> io::Result<usize> {
    let (mut bytes, mut chunk, mut count) = (Vec::new(), vec![0; CHUNK_BYTES], 0_usize);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(count);
        }
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        while let Some(size) = record::size(&bytes).filter(|size| *size <= bytes.len()) {
            let rest = bytes.split_off(size);
            let record =
                Record::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            f(&delivery.stamp(record));
            bytes = rest;
            count = count.saturating_add(1);
        }
    }
}
