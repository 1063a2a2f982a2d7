//! Where alerts go. An output is a configuration, a pure encoder and a transport; queue, retries,
//! counters and complaints are written once, in [`delivery`].
//!
//! Each output has a thread of its own, so that a sink which hangs or fails delays neither the
//! others nor detection.

pub mod delivery;
pub mod file;
pub mod http;
pub mod registry;
pub mod stdout;

pub use delivery::{Counts, SendError, Transport};
pub use registry::{BuildError, OutputConfig, Outputs};
