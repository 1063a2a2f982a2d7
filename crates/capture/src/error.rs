//! Why a capture cannot be read on.

use std::io;

/// Why the reading ends; everything before is good and was given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes cannot be had.
    #[error("cannot read the capture behind byte {offset}")]
    Io {
        /// Bytes read before, uncompressed.
        offset: u64,
        /// What the system or the decompressor says.
        source: io::Error,
    },
    /// The first bytes are not those of a capture.
    #[error("this is no capture file: give a .scap file, plain or compressed with gzip")]
    NotACapture,
    /// A version that changed the layout.
    #[error("the capture has format version {major}.{minor}, this program reads 1.x: update it")]
    Version {
        /// The one that would change the layout.
        major: u16,
        /// The other one.
        minor: u16,
    },
    /// Written on a machine with the other byte order.
    #[error("the capture was written on a big-endian machine: replay it there")]
    ByteOrder,
    /// A capture that ends before its first event.
    #[error("the capture holds no events: record it again, for longer")]
    NoEvents,
    /// The bytes are not what the format says.
    #[error(
        "the capture is damaged at byte {offset}: expected {expected}; what comes before is good, the rest is lost"
    )]
    Damaged {
        /// Where the block begins, uncompressed.
        offset: u64,
        /// What should have been there.
        expected: &'static str,
    },
    /// An event of a version that never was.
    #[error(
        "the event {event} at byte {offset} has {params} parameters, which no version of the format writes: \
         the capture is damaged, or newer than this program"
    )]
    Unconvertible {
        /// Where its block begins, uncompressed.
        offset: u64,
        /// Its name.
        event: &'static str,
        /// Its parameters.
        params: usize,
    },
}
