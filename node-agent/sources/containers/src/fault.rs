//! Why a socket gave no answer.

use std::time::Duration;

/// Time for one look-up at one socket. A machine that runs tests may be too busy for it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 2000 } else { 200 });

/// Why a socket did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody listens, or we may not ask.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// An error, or an answer that cannot be read.
    #[error("no answer of use: {0}")]
    Refused(String),
    /// No answer in time.
    #[error("no answer within {} ms", PATIENCE.as_millis())]
    Timeout,
    /// An answer about another container.
    #[error("told of another container than it was asked for")]
    Wrong,
}
